"""Folders, tables of files, and what is put aside."""

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from potstill.data import DataOptions, load_data
from potstill.data.folders import folder_kind
from potstill.data.splits import group_split
from potstill.errors import ConfigurationError, DataError
from tests.media import RATE, beeps, file_of, pictures, wav_of


def image_folder(tmp_path, rows):
    for i, (array, label) in enumerate(rows):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{i}.png").write_bytes(file_of(array))
    return tmp_path


def load(**options):
    tables = options.pop("tables", None)
    return load_data(DataOptions(**options), tables=tables)


def arrays_of(data):
    return {value.tobytes() for rows in (data.train, data.dev, data.test, data.unlabelled) for value in rows.inputs}


def codes(data):
    return {finding.code: finding.values for finding in data.findings}


def test_a_folder_a_class(tmp_path):
    rows = pictures(30)
    folder = image_folder(tmp_path, rows)
    (folder / "unsorted.png").write_bytes(file_of(pictures(1, seed=9)[0][0]))
    (folder / ".DS_Store").write_bytes(b"no picture")
    assert folder_kind(folder) == "image"
    data = load(train=str(folder), image="image", label=("label",))
    assert data.schema.fields[0].classes == ("blue", "green", "red")
    assert len(data.unlabelled) == 1
    assert arrays_of(data) == {array.tobytes() for array, _ in [*rows, *pictures(1, seed=9)]}
    assert "broken_inputs" not in codes(data)


def test_all_forms_of_a_picture_are_the_same_row(tmp_path):
    rows = pictures(30)
    for i, (array, _) in enumerate(rows):
        (tmp_path / f"{i}.png").write_bytes(file_of(array))
    labels = [label for _, label in rows]
    forms = {
        "bytes": [file_of(array) for array, _ in rows],
        "struct": [{"bytes": file_of(array), "path": None} for array, _ in rows],
        "pillow": [Image.fromarray(array) for array, _ in rows],
        "array": [array for array, _ in rows],
        "path": [str(tmp_path / f"{i}.png") for i in range(len(rows))],
    }
    digests = {
        load(tables={"train": {"image": cells, "label": labels}}, image="image", label=("label",)).digest
        for cells in forms.values()
    }
    assert len(digests) == 1


def test_paths_in_a_table_start_at_the_table(tmp_path):
    rows = pictures(12)
    image_folder(tmp_path, rows)
    lines = [f"{label}/{i}.png,{label}" for i, (_, label) in enumerate(rows)]
    (tmp_path / "rows.csv").write_text("\n".join(["picture,label", *lines]))
    data = load(train=str(tmp_path / "rows.csv"), image="picture", label=("label",))
    assert len(arrays_of(data)) == 12


def test_parquet_with_bytes(tmp_path):
    rows = pictures(12)
    table = pyarrow.table({"image": [file_of(a) for a, _ in rows], "label": [label for _, label in rows]})
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    data = load(train=str(tmp_path / "rows.parquet"), image="image", label=("label",))
    assert len(arrays_of(data)) == 12


def test_broken_files_are_put_aside_and_counted(tmp_path):
    folder = image_folder(tmp_path, pictures(30))
    (folder / "red" / "cut.png").write_bytes(file_of(pictures(1)[0][0])[:60])
    (folder / "blue" / "notes.txt").write_text("no picture")
    data = load(train=str(folder), image="image", label=("label",))
    said = codes(data)["broken_inputs"]
    assert said["count"] == 2
    assert "cut.png" in said["lines"]
    assert "notes.txt" in said["lines"]
    assert len(arrays_of(data)) == 30


def test_no_usable_file_at_all_is_an_error():
    with pytest.raises(DataError, match=r"none of the 4 rows has a usable image.*The first: no whole picture"):
        load(tables={"train": {"image": [b"x"] * 4, "label": list("abab")}}, image="image", label=("label",))


def test_a_folder_without_its_kind_says_what_to_write(tmp_path):
    folder = image_folder(tmp_path, pictures(12))
    with pytest.raises(ConfigurationError, match=r"data\.image=image"):
        load(train=str(folder), label=("label",))


def test_bytes_in_a_text_column_point_to_the_option():
    with pytest.raises(DataError, match="for pictures use --image"):
        load(tables={"train": {"x": [b"abc"] * 4, "label": list("abab")}}, text="x", label=("label",))


def test_one_input_a_row():
    with pytest.raises(ConfigurationError, match="image and audio"):
        DataOptions(image="a", audio="b")


def sounds(rows, **more):
    return {"audio": [wav_of(s) for s, _, _ in rows], "label": [label for _, label, _ in rows], **more}


def test_sounds_come_at_their_usual_rate():
    data = load(tables={"train": sounds(beeps(24))}, audio="audio", label=("label",))
    assert data.options.sample_rate == RATE
    assert codes(data)["sample_rate"]["rate"] == RATE
    assert all(value.dtype == np.float32 and value.ndim == 1 for value in data.train.inputs)


def test_no_speaker_stands_on_two_sides():
    rows = beeps(48)
    table = sounds(rows, speaker=[speaker for _, _, speaker in rows])
    data = load(tables={"train": table}, audio="audio", label=("label",), group="speaker")
    parts = [set(part.columns["speaker"]) for part in (data.train, data.dev, data.test)]
    assert all(parts)
    assert sum(map(len, parts)) == 4
    assert "groups_shared" not in codes(data)


def test_shared_speakers_are_said():
    rows = beeps(48)
    table = sounds(rows, speaker=[speaker for _, _, speaker in rows])
    test = beeps(12, seed=1)
    held = sounds(test, speaker=[speaker for _, _, speaker in test])
    data = load(tables={"train": table, "test": held}, audio="audio", label=("label",), group="speaker")
    assert codes(data)["groups_shared"]["count"] == 4


def test_groups_are_never_divided():
    groups = [f"g{i % 7}" for i in range(100)]
    rest, share = group_split(groups, 0.3, seed=1)
    assert {groups[i] for i in rest}.isdisjoint({groups[i] for i in share})
    assert sorted([*rest, *share]) == list(range(100))
    assert 20 <= len(share) <= 40
    assert np.array_equal(share, group_split(groups, 0.3, seed=1)[1])
