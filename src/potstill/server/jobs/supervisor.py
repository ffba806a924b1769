"""Takes jobs from the database, runs each in a child process, and writes down what the child says.

The child never opens the database: it prints a JSON object a line. A child that dies is started again, and goes on from
its last checkpoint; a server that dies leaves a lease that runs out, and whoever comes next takes the job up.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, update

from potstill.files import canonical_json, write_atomic
from potstill.server.blobs import Blobs
from potstill.server.database import Database
from potstill.server.database.tables import jobs
from potstill.server.ids import now
from potstill.server.jobs.publish import publish
from potstill.server.jobs.store import LEASE_S, WAITING, add_event, change_job, claim, renew
from potstill.server.log import log, log_failure

MAX_DEATHS = 3
"""A child that dies so often without getting further has found an error of ours."""
PREEMPTED = 75
KEPT_VARIABLES = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME", "PYTHONPATH"),
    # Whom a job trusts that fetches pictures.
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
)


class Supervisor:
    """A thread that works through the jobs, one at a time."""

    def __init__(
        self, database: Database, blobs: Blobs, data: Path, bases: Mapping[str, str], images_from: Sequence[str]
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._data = data
        self._bases = bases
        self._images_from = images_from
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="potstill-jobs", daemon=True)

    def start(self) -> None:
        """Begins; jobs of a server that died here are free at once, since only one server holds the folder."""
        self._database.write_now(_free_all)
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def stop(self) -> None:
        """Stops the child where it is, to go on when the server is started again."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopping:
            try:
                row = self._database.write_now(claim)
                if row is not None:
                    job = _Job(row, self._database, self._blobs, self._data, self._bases, self._images_from)
                    job.run(lambda: self._stopping, self._wake)
                    continue
            except Exception as error:  # the thread must live on
                log_failure("jobs", error)
                time.sleep(1)
            self._wake.wait(5)
            self._wake.clear()


class _Job:
    """One attempt of one job."""

    def __init__(
        self,
        row: Row[Any],
        database: Database,
        blobs: Blobs,
        data: Path,
        bases: Mapping[str, str],
        images_from: Sequence[str],
    ) -> None:
        self.row = row
        self.database = database
        self.blobs = blobs
        self.data = data
        self.bases = bases
        self.images_from = images_from
        self.folder = data / "jobs" / row.id
        self.done: dict[str, Any] | None = None
        self.num_said = 0

    def run(self, stopping: Callable[[], bool], wake: threading.Event) -> None:
        """Until it ended, was stopped, or belongs to somebody else."""
        write_atomic(self.folder / "job.json", canonical_json(self._order()))
        deaths = 0
        while True:
            before = self.num_said
            code, wish = self._run_child(stopping, wake)
            if self.done is not None or wish == "lost" or stopping():
                break
            if wish is not None:
                self._stopped(wish)
                return
            deaths = 1 if self.num_said > before + 2 else deaths + 1
            log("job's child died", job=self.row.id, code=code, deaths=deaths)
            if deaths == MAX_DEATHS:
                error = {"code": "server_error", "message": "The job's process died repeatedly.", "param": None}
                self.done = {"kind": "failed", "error": error}
        if self.done is not None:
            publish(self.database, self.blobs, self.row, self.done, self.folder.relative_to(self.data))
        elif stopping():
            self.database.write_now(lambda c: change_job(c, self.row.id, self.row.attempt, lease_until=0))

    def _order(self) -> dict[str, Any]:
        row = self.row
        validation = str(self.blobs.path(row.validation_digest)) if row.validation_digest else ""
        return {
            "id": row.id,
            "request": json.loads(row.request),
            "training": str(self.blobs.path(row.training_digest)),
            "validation": validation,
            "bases": dict(self.bases),
            "images_from": list(self.images_from),
        }

    def _run_child(self, stopping: Callable[[], bool], wake: threading.Event) -> tuple[int, str | None]:
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        with (self.folder / "child.log").open("ab") as errors:
            child = subprocess.Popen(
                [sys.executable, "-m", "potstill.server.jobs.child", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**environment, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        reader = threading.Thread(target=self._read, args=(child,), daemon=True)
        reader.start()
        wish: str | None = None
        renewed = 0.0
        while child.poll() is None:
            if time.monotonic() > renewed + LEASE_S / 3 or wake.is_set():
                wake.clear()
                renewed = time.monotonic()
                wish = self.database.write_now(lambda c: renew(c, self.row.id, self.row.attempt))
                if wish == "lost":
                    child.kill()
                elif wish or stopping():
                    child.send_signal(signal.SIGTERM)
            wake.wait(0.2)
        reader.join()
        if child.stdin is not None:
            child.stdin.close()
        return child.returncode, wish

    def _read(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None, "asked for above"
        with child.stdout:
            for line in child.stdout:
                try:
                    said = json.loads(line)
                except ValueError:
                    continue  # a half line of a child that was killed
                self.num_said += 1
                self._hear(said)

    def _hear(self, said: dict[str, Any]) -> None:
        if said["kind"] in ("done", "failed"):
            self.done = said
            return
        id, attempt = self.row.id, self.row.attempt

        def change(connection: Connection) -> None:
            status = said.get("status")
            values = {"status": status} if status else {"lease_until": int(now()) + LEASE_S}
            if change_job(connection, id, attempt, **values) and "message" in said:
                level = said.get("level", "info")
                add_event(connection, id, said["key"], said["message"], level=level, data=said.get("data"))

        self.database.write_now(change)

    def _stopped(self, wish: str) -> None:
        id, attempt = self.row.id, self.row.attempt
        is_pause = wish == "pause"

        def change(connection: Connection) -> None:
            values: dict[str, Any] = {"status": "paused" if is_pause else "cancelled", "wish": None, "lease_until": 0}
            if not is_pause:
                values["finished_at"] = now()
            if change_job(connection, id, attempt, **values):
                message = "Fine-tuning job paused" if is_pause else "Fine-tuning job cancelled"
                add_event(connection, id, f"{wish} {attempt}", message)

        self.database.write_now(change)


def _free_all(connection: Connection) -> None:
    connection.execute(update(jobs).where(jobs.c.status.in_((*WAITING, "running"))).values(lease_until=0))
