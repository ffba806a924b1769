from dataclasses import replace

import pytest

from potstill.data import DataOptions
from potstill.recipe import Recipe
from potstill.recipe.forecast import forecast
from potstill.teachers import Encoder, Ensemble, Network, Ngrams, OpenAI, Recorded
from potstill.training import Training
from tests.media import file_of, pictures
from tests.toys import sentences


@pytest.fixture
def recipe(tmp_path):
    def write(name, rows, header):
        path = tmp_path / name
        path.write_text(header + "\n" + "".join(f"{row}\n" for row in rows), "utf-8")
        return str(path)

    train = write("train.csv", [",".join(row) for row in sentences(80)], "text,label")
    more = write("more.csv", [text for text, _ in sentences(200, seed=1)], "text")
    return Recipe(data=DataOptions(train=train, unlabelled=more), training=Training(num_epochs=2))


def test_more_work_takes_longer(recipe):
    once = replace(recipe, training=replace(recipe.training, refit="no"))
    folds = replace(recipe, teacher=Encoder(num_folds=3))
    pair = replace(recipe, teacher=Ensemble(members=(Ngrams(), Encoder())))
    seeds = replace(recipe, num_seeds=4)
    seconds = {
        name: forecast(r).cpu_seconds
        for name, r in (("as is", recipe), ("once", once), ("folds", folds), ("pair", pair), ("seeds", seeds))
    }
    assert seconds["once"] < seconds["as is"] < seconds["seeds"]
    assert seconds["as is"] < seconds["pair"] < seconds["folds"]


def test_an_api_costs_calls_tokens_and_money(recipe):
    spec = OpenAI(model="m", base_url="http://127.0.0.1:1/v1", price_input=1.0, price_output=1.0)
    found = forecast(replace(recipe, teacher=spec))
    assert found.teacher_calls == found.teacher_rows == sum(found.num_rows.values())
    assert found.teacher_cost == pytest.approx(found.teacher_tokens / 1e6)
    assert f"{found.teacher_calls:,} calls" in found.text()
    assert forecast(recipe).teacher_calls == 0


def test_views_are_counted_and_pictures_take_longer(tmp_path):
    for i, (array, label) in enumerate(pictures(30)):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{i}.png").write_bytes(file_of(array))
    recipe = Recipe(data=DataOptions(train=str(tmp_path), image="image"), teacher=Network(num_epochs=10))
    found = forecast(recipe)
    assert found.teacher_rows == 4 * sum(found.num_rows.values()) == 120
    once = replace(recipe, training=Training(num_views=1))
    assert forecast(once).teacher_rows == 30
    recorded = replace(recipe, teacher=Recorded(label_column="label"))
    assert forecast(recorded).teacher_rows == 30
    assert forecast(replace(recipe, teacher=Network(num_epochs=60))).cpu_seconds > found.cpu_seconds
