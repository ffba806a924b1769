import pytest

from potstill.server.settings import VoiceSettings
from tests.server.running import running


@pytest.fixture(scope="module")
def hearing_server(tmp_path_factory, sound_bundle):
    """A server with one student that hears."""
    voices = (VoiceSettings(name="beeps", bundle=sound_bundle),)
    with running(tmp_path_factory.mktemp("server") / "data", voices=voices) as found:
        yield found
