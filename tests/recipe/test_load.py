import pytest

from potstill.data import DataOptions
from potstill.errors import ConfigurationError
from potstill.recipe import Recipe
from potstill.recipe.load import build_recipe, load_recipe


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
        ("data: {train: a.csv}\nstudent: {}\n", 2, 10, "expected a mapping with `kind`"),
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
        ("data: {}\n", 1, 7, "`train` is missing"),
        ("data: !!python/object:os.system {train: a.csv}\n", 1, 7, "is not read"),
        ("data: {train: a.csv}\nteacher: {kind: [a]}\n", 2, 17, "there is no kind"),
        ("data: {train: a.csv}\nteacher: {kind: openai, model: m}\n", 2, 10, "`base_url` is missing"),
        ("data: {train: a.csv}\ntraining: {epochs: 2, num_epochs: 3}\n", 2, 23, "the same option as 'epochs'"),
        ("data: {train: a.csv}\ntraining:\n  epochs: 0\n", 3, 11, "at least 1"),
        ("data: {train: a.csv}\ntraining: {signal: sott}\n", 2, 20, "did you mean 'soft'"),
        ("data: {train: a.csv, test: b.csv, test_share: 2}\n", 1, 47, "between 0 and 1"),
        ("data: {train: a.csv, other: yes}\n", 1, 29, "write true or false"),
        ("data: {train: a.csv, label: [a, 3]}\n", 1, 33, "put it in quotes"),
        ("data: {train: a.csv}\nbudget: {latency_ms: .nan}\n", 2, 22, "finite number"),
        ("data: {train: a.csv}\nbudget: {latency_ms: 1e999}\n", 2, 22, "finite number"),
        ("data: {train: a.csv}\nteacher: {kind: huggingface, model: m, label_map: {a: 3}}\n", 2, 55, "valid string"),
        ("data: {train: a.csv}\nzzz: 1\n", 2, 1, "there are: data, teacher"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path, text, line, column, words):
    (problem,) = problems_of(tmp_path, text)
    assert words in problem.message
    assert (problem.line, problem.column) == (line, column), str(problem)


def test_all_mistakes_are_said_at_once(tmp_path):
    text = "data: {train: a.csv, tex: b, dev_share: 2}\ntraining:\n  epochs: x\n  patience: 0\nstudnt: {}\n"
    found = [(p.path, p.line, p.column) for p in problems_of(tmp_path, text, ["seed=x", "nonsense"])]
    assert found == [
        ("", 0, 0),
        ("seed", 0, 0),
        ("data.tex", 1, 22),
        ("data.dev_share", 1, 41),
        ("training.epochs", 3, 11),
        ("studnt", 5, 1),
    ]


def test_a_value_that_only_the_dataclass_refuses_is_said_beside_the_others(tmp_path):
    text = "data: {train: a.csv, dev_share: 2}\ntraining:\n  patience: 0\nstudent: {kind: nn}\n"
    assert [p.path for p in problems_of(tmp_path, text)] == ["data.dev_share", "training.patience", "student.kind"]


def test_a_dataclass_is_not_asked_about_options_of_a_wrong_type(tmp_path):
    text = "data: {train: a.csv, other: true, classes: [1]}\n"
    assert [p.path for p in problems_of(tmp_path, text)] == ["data.classes.0"]


@pytest.mark.parametrize(
    ("member", "column", "words"),
    [("{kind: scrach}", 18, "did you mean 'scratch'"), ("{kind: scratch, widht: 3}", 27, "did you mean 'width'")],
)
def test_mistakes_in_a_member_of_an_ensemble_have_their_place(tmp_path, member, column, words):
    text = f"data: {{train: a.csv}}\nteacher:\n  kind: ensemble\n  members:\n    - kind: encoder\n    -     {member}\n"
    (problem,) = problems_of(tmp_path, text)
    assert words in problem.message
    assert (problem.line, problem.column) == (6, column)
    assert problem.path.startswith("teacher.members.1.")


def test_overrides_and_short_names(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {train: a.csv}\ntraining:\n")
    overrides = ["training.epochs=3", "training.learning_rate=1e-3", "num_seeds=2", "data.label=[a, b]"]
    recipe = load_recipe(path, overrides)
    assert (recipe.training.num_epochs, recipe.num_seeds, recipe.data.label) == (3, 2, ("a", "b"))
    assert recipe.training.learning_rate == 1e-3
    assert recipe.data.train == str(tmp_path / "a.csv")
    assert load_recipe(path, ["data.train=b.csv"]).data.train == "b.csv"


@pytest.mark.parametrize("in_file", ["epochs: 5", "num_epochs: 5"])
@pytest.mark.parametrize("override", ["training.epochs=3", "training.num-epochs=3"])
def test_an_override_wins_under_either_name(tmp_path, in_file, override):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"data: {{train: a.csv}}\ntraining: {{{in_file}}}\n")
    assert load_recipe(path, [override]).training.num_epochs == 3


@pytest.mark.parametrize(
    ("override", "path", "words"),
    [
        ("nonsense", "", "not understood"),
        ("training.epoch=3", "training.epoch", "did you mean 'num_epochs'"),
        ("seed.x=1", "", "has no options"),
        ("training.patience=x", "training.patience", "valid integer"),
        ("training.patience=0", "training.patience", "at least 1"),
        ("data.text=[a", "", "no YAML"),
        ("data.text=!!int 3", "", "is not read"),
    ],
)
def test_a_wrong_override_is_not_blamed_on_a_line_of_the_file(tmp_path, override, path, words):
    text = "data: {train: a.csv}\ntraining: {patience: 2}\nseed: 1\n"
    (problem,) = problems_of(tmp_path, text, [override])
    assert words in problem.message
    assert "--set" in problem.message
    assert (problem.path, problem.file, problem.line) == (path, "", 0)


def test_values_without_a_file_are_checked_alike():
    with pytest.raises(ConfigurationError, match="did you mean 'num_epochs'"):
        build_recipe({"data": {"train": "a.csv"}, "training": {"num_epoch": 3}})


@pytest.mark.parametrize(("text", "words"), [("- a\n", "holds no recipe"), ("", "`data` is missing")])
def test_a_file_without_sections(tmp_path, text, words):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        load_recipe(path)


def test_equal_recipes_have_equal_digests():
    built = build_recipe({"data": {"train": "a.csv"}, "teacher": {"kind": "encoder"}})
    assert built.digest() == Recipe(data=DataOptions(train="a.csv")).digest()
    assert built.digest() != Recipe(data=DataOptions(train="b.csv")).digest()


@pytest.mark.parametrize(("column", "kind"), [("text", "encoder"), ("image", "network"), ("audio", "network")])
def test_options_of_a_teacher_without_a_kind_are_those_of_the_usual_one(column, kind, monkeypatch):
    monkeypatch.setattr("potstill.recipe.recipe.is_installed", lambda: False)
    recipe = build_recipe({"data": {"train": "a.csv", column: "x"}}, ["teacher.num_epochs=3"])
    assert (recipe.teacher.kind, recipe.teacher.num_epochs) == (kind, 3)
