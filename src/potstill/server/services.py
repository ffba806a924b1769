"""What every request may use, opened once and closed once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import final

from potstill.errors import ConfigurationError
from potstill.files import locked
from potstill.server.auth import Keyring
from potstill.server.batches.runner import Batches
from potstill.server.blobs import Blobs
from potstill.server.database import Database, open_database
from potstill.server.evals.runner import Runner
from potstill.server.jobs.supervisor import Supervisor
from potstill.server.metrics import Metrics
from potstill.server.models import Students
from potstill.server.realtime import Voices
from potstill.server.settings import Settings
from potstill.server.upstream import Teachers


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """All of it; passed to handlers, never a global."""

    settings: Settings
    database: Database
    keyring: Keyring
    blobs: Blobs
    metrics: Metrics
    teachers: Teachers
    students: Students
    voices: Voices
    jobs: Supervisor
    evals: Runner
    batches: Batches


@contextmanager
def open_services(settings: Settings) -> Iterator[Services]:
    """Opens the data folder for one server.

    Raises:
        ConfigurationError: another server holds it, or its database can't be used.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(settings.data / "lock", wait=False))
        except BlockingIOError as error:
            raise ConfigurationError(
                f"another server is at work on {settings.data}. Two would run jobs twice. Stop it, or choose another "
                "folder with --data."
            ) from error
        voices = Voices(settings.voices)
        database = open_database(settings.data, settings.database_url)
        stack.callback(database.close)
        blobs = Blobs(settings.data / "blobs")
        supervisor = Supervisor(database, blobs, settings.data)
        supervisor.start()
        stack.callback(supervisor.stop)
        metrics = Metrics()
        yield Services(
            settings=settings,
            database=database,
            keyring=Keyring(database),
            blobs=blobs,
            metrics=metrics,
            teachers=Teachers(settings.teachers, settings.teacher_timeout_s, metrics),
            students=Students(database, settings.data),
            voices=voices,
            jobs=supervisor,
            evals=Runner(),
            batches=Batches(),
        )
