"""What every request may use, opened once and closed once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import final

from potstill.errors import ConfigurationError
from potstill.files import locked
from potstill.fleet.publisher.place import Fleet, open_fleet
from potstill.server.auth import Keyring
from potstill.server.batches.runner import Batches
from potstill.server.blobs import Blobs
from potstill.server.database import Database, open_database
from potstill.server.evals.runner import Runner
from potstill.server.graders.embedder import open_embedder
from potstill.server.graders.grading import Embed
from potstill.server.jobs.supervisor import Supervisor
from potstill.server.metrics import Metrics
from potstill.server.models import Students
from potstill.server.models.aliases import Aliases
from potstill.server.rates import Rates
from potstill.server.realtime import Voices
from potstill.server.remote_pictures import RemotePictures, read_hosts
from potstill.server.settings import Settings
from potstill.server.upstream import Teachers
from potstill.server.usage import Usage
from potstill.server.writing import Engines


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """All of it; passed to handlers, never a global."""

    settings: Settings
    database: Database
    keyring: Keyring
    blobs: Blobs
    metrics: Metrics
    usage: Usage
    teachers: Teachers
    students: Students
    aliases: Aliases
    engines: Engines
    pictures: RemotePictures
    voices: Voices
    embed: Embed | None
    jobs: Supervisor
    evals: Runner
    batches: Batches
    fleet: Fleet | None
    report_rates: Rates
    stranger_rates: Rates


@contextmanager
def open_services(settings: Settings) -> Iterator[Services]:
    """Opens the data folder for one server.

    Raises:
        ConfigurationError: another server holds it, its database can't be used, or there is no such fleet.
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
        embed = open_embedder(settings.embeddings) if settings.embeddings else None
        pictures = read_hosts(settings.images_from)
        database = open_database(settings.data, settings.database_url)
        stack.callback(database.close)
        blobs = Blobs(settings.data / "blobs")
        supervisor = Supervisor(database, blobs, settings.data, settings.base_paths(), settings.images_from)
        supervisor.start()
        stack.callback(supervisor.stop)
        engines = Engines(threads=settings.writing_threads)
        stack.callback(engines.close)
        metrics = Metrics()
        # A device that was away for long delivers all that it kept (200 at most) at once.
        report_rates = Rates(a_second=1.0, at_once=200, file=settings.data / "rates" / "reports.json")
        stranger_rates = Rates(a_second=20.0, at_once=2000, file=settings.data / "rates" / "strangers.json")
        if settings.fleet:
            stack.callback(report_rates.save)
            stack.callback(stranger_rates.save)
        yield Services(
            settings=settings,
            database=database,
            keyring=Keyring(database),
            blobs=blobs,
            metrics=metrics,
            usage=Usage(database),
            teachers=Teachers(settings.teachers, settings.teacher_timeout_s, metrics, engines, pictures),
            students=Students(database, settings.data, engines, pictures),
            engines=engines,
            pictures=pictures,
            aliases=Aliases(database),
            voices=voices,
            embed=embed,
            jobs=supervisor,
            evals=Runner(),
            batches=Batches(),
            fleet=open_fleet(settings.fleet) if settings.fleet else None,
            report_rates=report_rates,
            stranger_rates=stranger_rates,
        )
