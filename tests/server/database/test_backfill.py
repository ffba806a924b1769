"""The log of SQLite gets into the file without anybody asking, and does not grow for ever."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from potstill.server.database import backfill, open_database
from potstill.server.database.tables import projects

PAGE_BYTES = 4096


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setattr(backfill, "PAUSE_S", 0.001)
    monkeypatch.setattr(backfill, "MAX_PAGES", 50)
    found = open_database(tmp_path)
    yield found
    found.close()


def write(database, number):
    row = {"id": str(number), "name": "x" * 10 * PAGE_BYTES, "created_at": 1}
    database.write_now(lambda c: c.execute(projects.insert(), row))


def count(database):
    return database.read_now(lambda c: c.scalar(select(func.count()).select_from(projects)))


def test_the_log_begins_anew(tmp_path, database):
    for number in range(60):
        write(database, number)
        database._backfill._move()
    assert (tmp_path / "potstill.db-wal").stat().st_size < 200 * PAGE_BYTES
    assert (tmp_path / "potstill.db").stat().st_size > 600 * PAGE_BYTES
    assert count(database) == 60


def test_somebody_who_reads_for_long_holds_nobody_up(database):
    def look(connection):
        before = connection.scalar(select(func.count()).select_from(projects))
        for number in range(10):
            write(database, number)
            database._backfill._move()
        return before, connection.scalar(select(func.count()).select_from(projects))

    assert database.read_now(look) == (0, 0)
    assert count(database) == 10


def test_it_goes_on_after_a_failure(tmp_path, database, monkeypatch, capsys):
    move = backfill.Backfill._move
    tried = []

    def fail_once(self):
        tried.append(1)
        if len(tried) == 1:
            raise OperationalError("PRAGMA", {}, Exception("disk I/O error"))
        move(self)

    monkeypatch.setattr(backfill.Backfill, "_move", fail_once)
    number = 0
    while len(tried) < 2:
        write(database, number)
        number += 1
    assert count(database) == number
    assert "disk I/O error" in capsys.readouterr().err
