from pathlib import Path

import pytest
import torch
from hypothesis import settings

from potstill.exporters.bundle import BundleFacts, make_bundle, trace
from potstill.students import DsCnn
from potstill.students.base import StudentContext
from potstill.types import Field, LabelSchema
from tests.media import RATE, beeps
from tests.toys import tiny_encoder

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("potstill", deadline=None)
settings.load_profile("potstill")
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def shared_data():
    if not SHARED.is_dir():
        pytest.skip(f"needs the data sets in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def sound_bundle(tmp_path_factory):
    """A small network for beeps that has learned nothing: what it says is still its own."""
    sounds = [samples for samples, _, _ in beeps(24)]
    schema = LabelSchema(fields=(Field(name="label", classes=("high", "low", "middle")),))
    context = StudentContext(schema=schema, transfer_inputs=sounds, encoder=None, seed=0, sample_rate=RATE)
    torch.manual_seed(0)
    student = DsCnn(width=8, num_blocks=1).build(context, dropout=0.0)
    folder = tmp_path_factory.mktemp("sounds") / "bundle"
    facts = BundleFacts(temperatures=[1.0])
    make_bundle(folder, student, trace(student, sounds[0]), "fp32", facts, sounds[:2])
    return folder
