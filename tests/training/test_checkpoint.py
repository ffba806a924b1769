import pytest
import torch

from potstill.errors import CheckpointError
from potstill.training.checkpoint import Checkpoint, load_newest, save_checkpoint


def checkpoint(step):
    return Checkpoint(step=step, tensors={"model": {"weight": torch.full((3,), float(step))}}, state={"note": step})


def test_the_newest_is_loaded_and_two_are_kept(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, checkpoint(step))
    newest = load_newest(tmp_path)
    assert newest.step == 3
    assert newest.state == {"note": 3}
    assert newest.tensors["model"]["weight"].tolist() == [3.0] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]


def test_nothing_there_is_no_error(tmp_path):
    assert load_newest(tmp_path / "none") is None


@pytest.mark.parametrize("file", ["model.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path, file, damage):
    save_checkpoint(tmp_path, checkpoint(1))
    path = save_checkpoint(tmp_path, checkpoint(2)) / file
    content = path.read_bytes()
    if damage == "flip":
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
    assert load_newest(tmp_path).step == 1


def test_all_damaged_is_said(tmp_path):
    (save_checkpoint(tmp_path, checkpoint(1)) / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="every checkpoint is damaged"):
        load_newest(tmp_path)


def test_a_half_written_one_is_ignored_and_swept(tmp_path):
    (tmp_path / ".step-00000009-abc").mkdir(parents=True)
    assert load_newest(tmp_path) is None
    save_checkpoint(tmp_path, checkpoint(1))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_failed_write_leaves_the_older_ones(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, checkpoint(1))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("potstill.training.checkpoint._write_synced", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path, checkpoint(2))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert load_newest(tmp_path).step == 1


def test_tied_cut_and_empty_tensors_come_back(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "a": whole,
        "tied": whole,
        "part": whole[1:],
        "turned": whole.T,
        "none": torch.zeros(0, 2),
        "one": torch.tensor(7),
    }
    save_checkpoint(tmp_path, Checkpoint(step=1, tensors={"model": tensors}, state={}))
    found = load_newest(tmp_path).tensors["model"]
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor), name
