import json

import numpy as np
import pytest

import potstill
from potstill.cli.main import main
from potstill.errors import MissingExtraError
from tests.media import RATE, beeps, wav_of

SOUND = beeps(1)[0][0]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "one.wav"
    path.write_bytes(wav_of(SOUND))
    return path


def test_a_file_is_heard_as_one_utterance(sound_bundle, file, capsys):
    assert main(["listen", str(sound_bundle), "--file", str(file), "--voice", "none", "--chunk-ms", "7", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    model = potstill.load(sound_bundle)
    assert said["heard"][0]["probabilities"] == model.predict([model.read(file)])[0].probabilities
    assert said["seconds"] == pytest.approx(len(SOUND) / RATE)
    assert said["real_time_factor"] > 0


def test_silence_is_said(sound_bundle, tmp_path, capsys):
    pytest.importorskip("soundfile")
    (tmp_path / "quiet.wav").write_bytes(wav_of(np.zeros(RATE, np.float32)))
    assert main(["listen", str(sound_bundle), "--file", str(tmp_path / "quiet.wav")]) == 0
    assert "nothing was heard" in capsys.readouterr().out


def test_what_can_not_be_heard_is_said(sound_bundle, tmp_path, capsys, monkeypatch):
    assert main(["listen", str(sound_bundle), "--file", str(tmp_path / "none.wav")]) == 6
    assert main(["listen", str(sound_bundle), "--microphone", "--voice", "none"]) == 2
    assert "has no end" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "sounddevice", None)
    assert main(["listen", str(sound_bundle), "--microphone"]) == MissingExtraError("a", "b").exit_code
    assert "potstill[microphone]" in capsys.readouterr().err
