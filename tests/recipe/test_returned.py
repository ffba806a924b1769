"""What devices sent back becomes rows, and a round of pictures from devices back to devices."""

import base64
import json

import numpy as np
import pytest

from potstill.data import DataOptions, load_data
from potstill.files import canonical_json
from potstill.fleet.publisher import create_fleet, publish
from potstill.fleet.publisher.inbox import DeviceRecord
from potstill.recipe import Recipe
from potstill.recipe.refresh import refresh
from potstill.recipe.returned import read_returned, with_rows
from potstill.recipe.run import run
from potstill.runtime.media import png, sound_file
from potstill.students import ResNet
from potstill.teachers import Network
from potstill.training.settings import Training
from tests.media import RATE, beeps, file_of, pictures, wav_of

DEVICE = "0" * 32


@pytest.fixture
def fleet(tmp_path):
    return create_fleet(tmp_path / "fleet", num_keys=1, threshold=1)


def send(fleet, samples):
    record = DeviceRecord(device=DEVICE, cohort="default", model="m", version=1, sequence=1)
    for name, content in ((f"devices/{DEVICE}", record.to_json()), (f"samples/{DEVICE}-1", samples)):
        path = fleet.inbox / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(canonical_json(content))


def text_of(content):
    return base64.b64encode(content).decode()


def folder_of(folder, rows):
    for i, (array, label) in enumerate(rows):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{i}.png").write_bytes(file_of(array))
    return str(folder)


def test_what_is_no_such_input_is_passed_over(fleet):
    picture = pictures(1)[0][0]
    good = {"picture": text_of(png(picture)), "label": "red"}
    bad = [{"picture": "???"}, {"picture": text_of(b"GIF89a")}, {"picture": 7}, {"text": "hello"}, {}]
    send(fleet, [good, *bad, good])
    rows, files = read_returned(fleet, "default", "image", 0)
    assert [row.label for row in rows] == ["red"] and np.array_equal(rows[0].input, picture) and len(files) == 1
    assert read_returned(fleet, "another", "image", 0) == ([], [])
    texts, _ = read_returned(fleet, "default", "text", 0)
    assert [row.input for row in texts] == ["hello"]


@pytest.mark.parametrize("form", ["none", "folder", "parquet"])
def test_rows_of_pictures_join_those_that_were_there(fleet, tmp_path, form):
    import pyarrow
    from pyarrow import parquet

    own = pictures(6, seed=5)
    train = folder_of(tmp_path / "train", pictures(12))
    before = ""
    if form == "folder":
        before = folder_of(tmp_path / "pool", own)
    elif form == "parquet":
        before = str(tmp_path / "pool.parquet")
        parquet.write_table(pyarrow.table({"image": [file_of(array) for array, _ in own]}), before)
    send(fleet, [{"picture": text_of(png(array))} for array, _ in pictures(4, seed=6)])
    rows, _ = read_returned(fleet, "default", "image", 0)
    data = with_rows(DataOptions(train=train, image="image", label=("label",), unlabelled=before), rows, tmp_path / "o")
    found = load_data(data, seed=0).unlabelled.inputs
    expected = [array for array, _ in [*(own if before else ()), *pictures(4, seed=6)]]
    assert sorted(array.tobytes() for array in found) == sorted(array.tobytes() for array in expected)


def test_rows_of_sounds_are_files(fleet, tmp_path):
    for i, (samples, label, _) in enumerate(beeps(12)):
        (tmp_path / "train" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / label / f"{i}.wav").write_bytes(wav_of(samples))
    sent = [samples for samples, _, _ in beeps(3, seed=9)]
    send(fleet, [{"sound": text_of(sound_file(samples, RATE))} for samples in sent])
    rows, _ = read_returned(fleet, "default", "audio", RATE)
    data = with_rows(DataOptions(train=str(tmp_path / "train"), audio="audio", label=("label",)), rows, tmp_path / "o")
    lines = (tmp_path / "o" / "returned.jsonl").read_text("utf-8").splitlines()
    assert all(set(json.loads(line)) == {"audio"} for line in lines)
    found = load_data(data, seed=0).unlabelled.inputs
    assert len(found) == 3 and np.abs(found[0] - sent[0]).max() < 1e-3


def test_a_round_of_pictures(fleet, tmp_path):
    data = DataOptions(
        train=folder_of(tmp_path / "train", pictures(60)),
        test=folder_of(tmp_path / "test", pictures(30, seed=1)),
        image="image",
        label=("label",),
    )
    recipe = Recipe(
        data=data,
        teacher=Network(depth=8, width=8, num_epochs=8, batch_size=16, precision="fp32", num_threads=1),
        student=ResNet(depth=8, width=4),
        training=Training(num_epochs=6, num_trials=1, precision="fp32", batch_size=16, num_views=2),
    )
    first = run(recipe, tmp_path / "first", store=tmp_path / "store")
    publish(fleet, first.bundle, model="m")
    send(fleet, [{"picture": text_of(png(array)), "label": "red"} for array, _ in pictures(30, seed=8)])
    options = {"model": "m", "cohort": "default", "store": tmp_path / "store", "max_drop": 0.1}
    done = refresh(first.folder, fleet, out=tmp_path / "next", **options)
    assert (done.did, done.num_rows) == ("published", 30) and done.num_changed >= 15
    assert done.run.student.modality == "image"
    assert not list((fleet.inbox / "samples").glob("*.json"))
