import shutil

import pytest

from tests.exporters.runs import finished_run


@pytest.fixture(scope="session")
def finished(encoder_folder, tmp_path_factory):
    """Finished runs by kind, made once: tracing a network costs seconds. They are only read."""
    made = {}

    def of(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp("runs") / kind
            made[kind] = finished_run(folder, kind, encoder_folder if kind == "encoder" else None)
        return made[kind]

    return of


@pytest.fixture
def own_run(finished, tmp_path):
    """A copy that a test may change."""

    def of(kind):
        return shutil.copytree(finished(kind), tmp_path / "run")

    return of
