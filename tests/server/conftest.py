import pytest

pytest.importorskip("starlette", reason="needs potstill[server]")
pytest.importorskip("openai", reason="needs the official SDK")

from potstill.server.settings import TeacherSettings
from tests.server.postgres import empty_database, postgres, programs
from tests.server.running import running
from tests.server.strict import DOCUMENT, strict_client
from tests.server.teacher import SECRET, teaching


@pytest.fixture(scope="session")
def teacher():
    """A real server that plays the teacher."""
    with teaching() as found:
        yield found


@pytest.fixture(scope="session")
def postgres_url():
    if programs() is None:
        pytest.skip("needs Debian's postgresql (initdb, pg_ctl)")
    pytest.importorskip("psycopg", reason="needs potstill[postgresql]")
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request):
    """Every test that has a server runs on both databases."""
    return empty_database(request)


@pytest.fixture
def server(tmp_path, teacher, database_url):
    """A server with an empty database; its SDK clients check every answer against the published schema."""
    teachers = (
        TeacherSettings(name="big", base_url=teacher.url, model="big-2026", api_key=SECRET),
        TeacherSettings(name="gone", base_url="http://127.0.0.1:9/v1"),
    )
    options = {"teachers": teachers, "teacher_timeout_s": 5.0, "database_url": database_url}
    if not DOCUMENT.is_file():
        with running(tmp_path / "data", **options) as found:
            yield found
        return
    with strict_client() as http_client, running(tmp_path / "data", http_client, **options) as found:
        yield found


@pytest.fixture
def client(server):
    return server.client()
