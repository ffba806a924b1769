"""What a write promises, on both databases."""

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest
from sqlalchemy import create_engine, func, inspect, select

from potstill.errors import ConfigurationError
from potstill.server.database import open_database
from potstill.server.database.engines import is_safe
from potstill.server.database.tables import METADATA, projects
from potstill.server.settings import read_teachers


def row(name):
    return {"id": name, "name": name, "created_at": 1}


@pytest.fixture
def database(tmp_path, database_url):
    found = open_database(tmp_path, database_url)
    yield found
    found.close()


def names(database):
    return set(database.read_now(lambda c: c.scalars(select(projects.c.id)).all()))


def test_many_at_once_and_one_that_fails(database):
    def fail(connection):
        connection.execute(projects.insert(), row("never"))
        raise KeyError("mine")

    async def work():
        good = [database.write(lambda c, i=i: c.execute(projects.insert(), row(f"a{i}")) and i) for i in range(100)]
        rows = [database.append({projects: [row(f"b{i}")]}) for i in range(100)]
        twice = [database.append({projects: [row("same")]}) for _ in range(3)]
        return await asyncio.gather(*good, database.write(fail), *rows, *twice, return_exceptions=True)

    found = asyncio.run(work())
    assert found[:100] == list(range(100))
    assert isinstance(found[100], KeyError)
    assert found[101:201] == [None] * 100
    assert sum(isinstance(item, Exception) for item in found[201:]) == 2
    assert names(database) == {f"{k}{i}" for k in "ab" for i in range(100)} | {"same"}


def test_a_question_sees_one_moment(database):
    """Found by a page that showed a job's state of before and its events of after."""

    def look(connection):
        before = connection.scalar(select(func.count()).select_from(projects))
        database.write_now(lambda c: c.execute(projects.insert(), row("in between")))
        return before, connection.scalar(select(func.count()).select_from(projects))

    assert database.read_now(look) == (0, 0)
    assert names(database) == {"in between"}


def test_many_acknowledged_by_few_commits(database, monkeypatch):
    sizes = []
    gate = threading.Event()
    run = database._run

    def counted(items):
        gate.wait(10)
        sizes.append(len(items))
        return run(items)

    monkeypatch.setattr(database, "_run", counted)

    async def work():
        waiting = [asyncio.ensure_future(database.append({projects: [row(f"a{i}")]})) for i in range(200)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*waiting)

    asyncio.run(work())
    assert sum(sizes) == 200 and len(sizes) <= 3


def test_tables_are_those_that_the_code_knows(tmp_path, database, database_url):
    engine = create_engine(
        database_url.replace("postgresql:", "postgresql+psycopg:") or f"sqlite:///{tmp_path}/potstill.db"
    )
    inspector = inspect(engine)
    assert set(inspector.get_table_names()) == {*METADATA.tables, "migrations"}
    for name, table in METADATA.tables.items():
        assert {c["name"] for c in inspector.get_columns(name)} == set(table.columns.keys())
        assert {i["name"] for i in inspector.get_indexes(name)} >= {index.name for index in table.indexes}
    engine.dispose()


def test_opened_again_and_by_an_older_potstill(tmp_path, database, database_url, monkeypatch):
    database.write_now(lambda c: c.execute(projects.insert(), row("a")))
    database.close()
    again = open_database(tmp_path, database_url)
    assert names(again) == {"a"}
    again.close()
    monkeypatch.setattr("potstill.server.database.migrate.MIGRATIONS", ("m0001_access",))
    with pytest.raises(ConfigurationError, match="newer Potstill"):
        open_database(tmp_path, database_url)
    monkeypatch.undo()


def test_a_killed_server_loses_nothing_that_it_acknowledged(tmp_path):
    program = (
        "import sys, pathlib; from potstill.server.database import open_database;"
        "from potstill.server.database.tables import projects\n"
        "database = open_database(pathlib.Path(sys.argv[1]))\n"
        "for i in range(10**9):\n"
        "    database.write_now(lambda c: c.execute(projects.insert(), {'id': str(i), 'name': '', 'created_at': 1}))\n"
        "    print(i, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        said = [process.stdout.readline().strip() for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read().split()
    database = open_database(tmp_path)
    assert names(database) >= set(said)
    assert database.read_now(lambda c: c.scalar(select(func.count()).select_from(projects))) <= len(said) + 1
    database.close()


def test_settings_that_protect_are_on(tmp_path):
    database = open_database(tmp_path)

    def pragma(name):
        return database.write_now(lambda c: c.exec_driver_sql("PRAGMA " + name).scalar())

    assert (pragma("synchronous"), pragma("journal_mode")) == (2, "wal")
    with pytest.raises(Exception, match="readonly"):
        database.read_now(lambda c: c.execute(projects.insert(), row("x")))
    database.close()


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), False),
        ((3, 53, 4), True),
    ],
)
def test_which_sqlite_is_safe(version, safe, tmp_path, monkeypatch):
    assert is_safe(version) == safe
    monkeypatch.setattr("pysqlite3.dbapi2.sqlite_version_info", version)
    if safe:
        open_database(tmp_path).close()
    else:
        with pytest.raises(ConfigurationError, match="WAL-reset"):
            open_database(tmp_path)


@pytest.mark.parametrize("url", ["mysql://h/d", "nonsense", "postgresql://u:secret-word@127.0.0.1:9/d"])
def test_wrong_addresses(tmp_path, url):
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigurationError) as caught:
        open_database(tmp_path, url)
    assert "secret-word" not in str(caught.value)


def test_teachers_of_the_command_line():
    environment = {"POTSTILL_TEACHER_GPT_4O_MINI_API_KEY": "k", "POTSTILL_TEACHER_DEFAULT_API_KEY": "d"}
    found = read_teachers(["gpt-4o-mini=https://h/v1/#m", "*=http://10.0.0.1/v1"], environment)
    assert [(t.name, t.base_url, t.model, t.api_key) for t in found] == [
        ("gpt-4o-mini", "https://h/v1", "m", "k"),
        ("*", "http://10.0.0.1/v1", "", "d"),
    ]
    assert "'k'" not in repr(found)
    for wrong in ("name", "=http://h", "a=ftp://h", "a=http://user:pass@h/v1"):
        with pytest.raises(ConfigurationError):
            read_teachers([wrong], os.environ)
