"""Where rows lie: SQLite in the data folder, or PostgreSQL by its address."""

from potstill.server.database.database import Database
from potstill.server.database.engines import open_database

__all__ = ["Database", "open_database"]
