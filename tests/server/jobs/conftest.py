import pytest

from tests.server.postgres import empty_database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request):
    """A job trains a student, which takes a while; `make slow` does so on PostgreSQL, too."""
    return empty_database(request)
