from dataclasses import fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill import students, teachers
from potstill.data import DataOptions
from potstill.recipe import Budget, Controls, Export, Gates, Recipe
from potstill.recipe.load import load_recipe
from potstill.recipe.write import commented_recipe, explanations, recipe_yaml
from potstill.training.settings import Training

PLAIN = Recipe(data=DataOptions(train="a.csv"))
# Text that YAML 1.1, YAML 1.2 or both would take for something else.
TRICKY = (
    "1e3",
    ".5e3",
    "yes",
    "off",
    "2020-01-01",
    "12:30",
    "",
    "~",
    "null",
    "007",
    "0x10",
    "a: b #c",
    "- x",
    "=",
    "!",
)
TEACHERS = [
    teachers.Encoder(model="folder", num_epochs=3, learning_rate=1e-5),
    teachers.Ensemble(members=(teachers.Encoder(), teachers.Scratch(width=128)), weights=(1.0, 2.0)),
    teachers.HuggingFace(model="m", label_map={"LABEL_0": "yes", "1": "1e3"}),
    teachers.Module(file="a.py", factory="f", classes=("x", "1e3"), mean=(0.5,), std=(0.1,), num_epochs=1),
    teachers.Network(depth=14, num_epochs=3, flip="no"),
    teachers.Ngrams(num_buckets=4096, strengths=(1.0,), num_folds=3),
    teachers.OnnxFile(file="a.onnx", classes=("x",), size=32, mean=(0.5,), std=(0.1,)),
    teachers.Probe(size=64, minimum_accuracy=0.3),
    teachers.OpenAI(model="m", base_url="http://127.0.0.1", instructions="a\n  b: c # d\n\ne ", max_calls=3),
    teachers.Recorded(label_column="x"),
    teachers.Scratch(width=128),
]
RECIPES = [
    PLAIN,
    replace(PLAIN, data=DataOptions(train="가.csv", label=("x", "y"), classes=TRICKY, other=True)),
    replace(PLAIN, training=Training(num_epochs=2, dropout=0.5, refit="yes"), num_seeds=3, seed=7),
    replace(PLAIN, budget=Budget(size_bytes=1000, latency_ms=0.5), controls=Controls(baseline=False)),
    replace(PLAIN, gates=Gates(accuracy=0.9, verdict="gain"), export=Export(precision="int8", license="MIT")),
    *(replace(PLAIN, teacher=teacher) for teacher in TEACHERS),
    *(replace(PLAIN, student=made()) for made in students.KINDS),
]
FORMS = [recipe_yaml, commented_recipe]


def test_every_kind_is_among_the_recipes_here():
    assert {type(teacher) for teacher in TEACHERS} == set(teachers.KINDS)


def reload(tmp_path, text):
    (tmp_path / "recipe.yaml").write_text(text, "utf-8")
    return load_recipe(tmp_path / "recipe.yaml")


def with_train(recipe, tmp_path):
    """The recipe as a file in `tmp_path` means it."""
    return replace(recipe, data=replace(recipe.data, train=str(tmp_path / recipe.data.train)))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("form", FORMS)
def test_a_written_recipe_loads_back(tmp_path, recipe, form):
    loaded = reload(tmp_path, form(recipe))
    assert loaded == with_train(recipe, tmp_path)
    assert loaded.digest() == with_train(recipe, tmp_path).digest()


def test_it_loads_back_as_it_is_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert reload(tmp_path.relative_to(tmp_path), recipe_yaml(PLAIN)) == PLAIN


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    number=st.floats(min_value=1e-300, max_value=1e300),
    form=st.sampled_from(FORMS),
)
def test_any_text_and_number_survive(tmp_path, text, number, form):
    recipe = replace(
        PLAIN,
        data=replace(PLAIN.data, text=text, classes=("a", text)),
        teacher=teachers.OpenAI(model=text, base_url="http://x", instructions=text),
        budget=Budget(latency_ms=number),
    )
    assert reload(tmp_path, form(recipe)) == with_train(recipe, tmp_path)


def test_the_comments_are_the_words_of_the_docstrings():
    lines = commented_recipe(PLAIN).splitlines()
    place = lines.index("  batch_size: 64", lines.index("training:"))
    assert lines[place - 1] == f"  # {explanations(Training)['batch_size']}"
    assert lines[lines.index("seed: 0") - 1] == f"# {explanations(Recipe)['seed']}"


def test_an_explanation_of_several_lines_is_one():
    class Made:
        """What it is.

        Attributes:
            one: begins
                and goes on.
            two: short.

        More: that is no option.
        """

    # A nested docstring is indented by four more.
    Made.__doc__ = "\n".join(line.removeprefix("    ") for line in (Made.__doc__ or "").splitlines())
    assert explanations(Made) == {"one": "begins and goes on.", "two": "short."}


@pytest.mark.parametrize(
    "made", [DataOptions, Training, Budget, Controls, Gates, Export, Recipe, *teachers.KINDS, *students.KINDS]
)
def test_every_option_is_explained(made):
    assert {f.name for f in fields(made)} - set(explanations(made)) - {"kind"} == set()
