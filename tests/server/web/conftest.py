import pytest

from tests.server.postgres import empty_database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request):
    """Pages ask what the API asks, whose tests run on both databases."""
    return empty_database(request)
