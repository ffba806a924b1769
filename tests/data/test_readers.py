import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.data.readers import read_table
from potstill.data.table import as_table
from potstill.errors import DataError


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_korean_in_three_encodings(tmp_path, encoding):
    path = write(tmp_path, "a.csv", "문장,라벨\n불 꺼줘,명령\n".encode(encoding))
    table = read_table(path)
    assert list(table.columns["문장"]) == ["불 꺼줘"]
    assert [f.code for f in table.findings] == (["read_as_cp949"] if encoding == "cp949" else [])


def test_neither_utf8_nor_cp949_names_the_lines(tmp_path):
    with pytest.raises(DataError, match="lines 2 "):
        read_table(write(tmp_path, "a.csv", b"text,label\n\xff\xff\xff,x\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("text,text\na,b\n", "every column once"),
        ("text,label\na,b\nc\n", r"last line \(3\) is cut off"),
        ("text,label\na\nc,d\n", r"line 2 \(1 cells\)"),
        ('text,label\na,b\n"c,d\n', "quote that is never closed"),
    ],
)
def test_broken_csv(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path, "a.csv", content))


def test_a_cell_with_line_breaks_keeps_the_line_numbers_right(tmp_path):
    table = read_table(write(tmp_path, "a.csv", 'text,label\n"a\nb",x\nc,y\n'))
    assert table.columns["text"] == ["a\nb", "c"]
    assert table.line_numbers.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"}\n{"text": "b', r"last line \(2\) is cut off"),
        ('{"text": "a"}\nnonsense\n{"text": "b"}\n[1]\n', "lines 2, 4 are no JSON objects"),
    ],
)
def test_broken_jsonl(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path, "a.jsonl", content))


def test_jsonl_rows_may_lack_keys(tmp_path):
    table = read_table(write(tmp_path, "a.jsonl", '{"text": "a"}\n\n{"text": "b", "label": "x"}\n'))
    assert table.columns["label"] == [None, "x"]
    assert table.line_numbers.tolist() == [1, 3]


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"text": ["a", "b"], "label": ["x", None]}), tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet").columns["label"] == ["x", None]
    with pytest.raises(DataError, match="no readable Parquet"):
        read_table(write(tmp_path, "b.parquet", b"PAR1"))


def test_a_dataset_gives_the_names_of_its_class_labels():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    table = as_table(datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, -1]}, features=features), "train")
    assert list(table.columns["label"]) == ["yes", None]


def test_unknown_files(tmp_path):
    with pytest.raises(DataError, match="no file"):
        read_table(tmp_path / "a.csv")
    with pytest.raises(DataError, match="suffix"):
        read_table(write(tmp_path, "a.xlsx", "x"))


@given(rows=st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_csv_round_trip(tmp_path_factory, rows):
    import csv
    import io

    clean = [[c.replace("\0", "").replace("\r", " ").encode("utf-8", "replace").decode() for c in row] for row in rows]
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([["text", "label"], *clean])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(buffer.getvalue().encode())
    table = read_table(path, encoding="utf-8")
    assert [list(pair) for pair in zip(table.columns["text"], table.columns["label"], strict=True)] == clean
    assert np.all(np.diff(table.line_numbers) > 0)
