import pytest

from potstill.data import DataOptions
from potstill.errors import ConfigurationError
from potstill.recipe import Budget, Recipe
from potstill.recipe.load import build_recipe, load_recipe
from potstill.recipe.write import commented_recipe, explanations, recipe_yaml
from potstill.students import Cnn
from potstill.students import Encoder as EncoderStudent
from potstill.teachers import Encoder, Scratch
from potstill.training.settings import Training


def problems_of(tmp_path, text, overrides=()):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(path, overrides)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("data: {train: a.csv}\ntraning: {}\n", 2, 1, "did you mean 'training'"),
        ("data:\n  train: a.csv\n  tex: b\n", 3, 3, "did you mean 'text'"),
        ("data:\n  train: 3\n", 2, 10, "valid string"),
        ("data: {train: a.csv}\nteacher:\n  kind: encodr\n", 3, 9, "did you mean 'encoder'"),
        ("data: {train: a.csv}\nteacher: {}\n", 2, 10, "expected a mapping with `kind`"),
        ("data: {train: a.csv}\nteacher: encoder\n", 2, 10, "expected a mapping with `kind`"),
        ("data: {train: a.csv}\nteacher: {kind: encoder, batch_size: 1}\n", 2, 38, "must be at least 2"),
        ("data: {train: a.csv}\nstudent: {kind: cnn, width: 2}\n", 2, 29, "at least 8"),
        ("data: {train: a.csv}\nstudent: {kind: cnn, widht: 64}\n", 2, 22, "did you mean 'width'"),
        ("data: {train: a.csv}\ntraining: {num_epochs: many}\n", 2, 24, "valid integer"),
        ("data: {train: a.csv}\ntraining: {num_epochs: true}\n", 2, 24, "valid integer"),
        ("data: {train: a.csv}\ntraining: {dropout: 1.5}\n", 2, 21, "a share"),
        ("data: {train: a.csv}\ntraining: {signal: loud}\n", 2, 20, "soft"),
        ("data: {train: a.csv, dev_share: 0}\n", 1, 33, "between 0 and 1"),
        ("data: {train: a.csv, other: true}\n", 1, 29, "needs data.classes"),
        ("data: {train: a.csv}\nnum_seeds: 0\n", 2, 12, "at least 1"),
        ("data: {train: a.csv}\nexport: {precision: int4}\n", 2, 21, "int8"),
        ("data: [a]\n", 1, 7, "expected options"),
        ("data: {train: a.csv}\ndata: {train: b.csv}\n", 2, 1, "stands twice"),
        ("data: {train: &a a.csv, test: *a}\n", 1, 15, "anchors"),
        ("data: {train: !!python/name:os.system a}\n", 1, 15, "is not read"),
        ("data: {train: a.csv\n", 2, 1, "no YAML"),
        ("training: {}\n", 1, 1, "`data` is missing"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path, text, line, column, words):
    (problem,) = problems_of(tmp_path, text)
    assert words in problem.message
    assert (problem.line, problem.column) == (line, column), str(problem)


def test_all_mistakes_are_said_at_once(tmp_path):
    text = "data: {train: a.csv, tex: b, dev_share: 2}\ntraining: {epochs: x, patience: 0}\nstudnt: {}\n"
    assert [p.path for p in problems_of(tmp_path, text)] == [
        "data.tex",
        "data.dev_share",
        "training.num_epochs",
        "studnt",
    ] or len(problems_of(tmp_path, text)) >= 4


def test_overrides_and_short_names(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {train: a.csv}\n")
    recipe = load_recipe(path, ["training.epochs=3", "training.learning_rate=1e-3", "num_seeds=2", "data.label=[a, b]"])
    assert (recipe.training.num_epochs, recipe.num_seeds, recipe.data.label) == (3, 2, ("a", "b"))
    assert recipe.data.train == str(tmp_path / "a.csv")
    for override, words in (
        ("nonsense", "not understood"),
        ("training.epoch=3", "did you mean"),
        ("seed.x=1", "has no options"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            load_recipe(path, ["seed=1", override] if "seed" in override else [override])


RECIPES = [
    Recipe(data=DataOptions(train="a.csv")),
    Recipe(data=DataOptions(train="a.csv", label=("x", "y"), classes=("p",), other=True), teacher=Scratch(width=128)),
    Recipe(
        data=DataOptions(train="가.csv", text="문장"),
        teacher=Encoder(model="folder", num_epochs=3),
        student=EncoderStudent(layers=(0, 2), num_heads=3),
        training=Training(num_epochs=2, dropout=0.5),
        budget=Budget(size_bytes=1000, latency_ms=0.5),
        num_seeds=3,
        seed=7,
    ),
    Recipe(data=DataOptions(train="a.csv"), student=Cnn(width=64)),
]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("form", [recipe_yaml, commented_recipe])
def test_a_written_recipe_loads_back(tmp_path, recipe, form):
    import os

    path = tmp_path / "recipe.yaml"
    path.write_text(form(recipe), "utf-8")
    loaded = load_recipe(path)
    assert os.path.basename(loaded.data.train) == recipe.data.train  # noqa: PTH119
    plain, original = loaded.to_json(), recipe.to_json()
    plain["data"]["train"] = original["data"]["train"]
    assert plain == original


def test_equal_recipes_have_equal_digests():
    built = build_recipe({"data": {"train": "a.csv"}, "teacher": {"kind": "encoder"}})
    assert built.digest() == Recipe(data=DataOptions(train="a.csv")).digest()
    assert built.digest() != Recipe(data=DataOptions(train="b.csv")).digest()


@pytest.mark.parametrize("made", [DataOptions, Training, Encoder, Scratch, Cnn, Recipe])
def test_every_option_is_explained(made):
    from dataclasses import fields

    missing = {f.name for f in fields(made)} - set(explanations(made)) - {"kind"}
    assert not missing
