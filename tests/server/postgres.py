"""Debian's PostgreSQL, started for the tests in a folder of its own and reached through a socket there."""

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

USERS = ("postgres", "nobody")


def programs():
    """Folder of `initdb` and `pg_ctl`, None without them."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _user():
    """PostgreSQL refuses to run as root."""
    if os.geteuid():
        return None
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next((users[name] for name in USERS if name in users), None)


def _run(user, *command):
    """Output goes nowhere: the server keeps the pipe of whoever started it, and would keep us waiting."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    subprocess.run(
        command,
        check=True,
        env=environment,
        cwd="/",
        timeout=120,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **owner,
    )


@contextmanager
def postgres():
    """The address of a fresh cluster. A folder of its own near the root: a socket's path has 107 bytes at most."""
    folder, user = programs(), _user()
    with tempfile.TemporaryDirectory(prefix="potstill-pg-") as name:
        root = Path(name)
        if user:
            os.chown(root, user.pw_uid, user.pw_gid)
        data = root / "data"
        _run(user, folder / "initdb", "-D", data, "-U", "potstill", "-A", "trust", "-E", "UTF8", "--no-sync")
        control = (folder / "pg_ctl", "-D", data, "-w", "-l", root / "log")
        _run(user, *control, "-o", f"-k {root} -c listen_addresses= -c fsync=off", "start")
        try:
            yield f"postgresql://potstill@/postgres?host={root}"
        finally:
            _run(user, *control, "-m", "immediate", "stop")


def empty_database(request):
    """Address of an empty database of the kind in `request.param`; that of SQLite is empty, too."""
    if request.param == "sqlite":
        return ""
    import psycopg

    url = request.getfixturevalue("postgres_url")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return url
