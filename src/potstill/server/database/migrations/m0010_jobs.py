"""Fine-tuning jobs with their events and checkpoints."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, LargeBinary, MetaData, Table, Text

from potstill.server.database.types import Seq, create


def jobs(metadata: MetaData) -> Table:
    """One row a job."""
    return Table(
        "jobs",
        metadata,
        Column("seq", Seq, primary_key=True, autoincrement=False),
        Column("project", Text, nullable=False),
        Column("id", Text, nullable=False, unique=True),
        Column("created_at", BigInteger, nullable=False),
        Column("status", Text, nullable=False),
        Column("wish", Text),  # `pause` or `cancel`, until the worker has done so
        Column("request", LargeBinary, nullable=False),  # JSON, what the client asked for
        Column("training_digest", Text, nullable=False),
        Column("validation_digest", Text),
        Column("outcome", LargeBinary),  # JSON: model, error, result file, tokens
        Column("finished_at", BigInteger),
        Column("attempt", Integer, nullable=False),  # the fencing token: a write of an older attempt does nothing
        Column("lease_until", BigInteger, nullable=False),  # Unix time; a worker that lives moves it on
        Index("jobs_page", "project", "seq"),
        Index("jobs_status", "status"),
    )


def job_events(metadata: MetaData) -> Table:
    """One row an event; a job that is done again repeats no event."""
    return Table(
        "job_events",
        metadata,
        Column("seq", Seq, primary_key=True, autoincrement=False),
        Column("job", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("level", Text, nullable=False),
        Column("message", Text, nullable=False),
        Column("data", LargeBinary),  # JSON of a metrics event
        Index("job_events_key", "job", "key", unique=True),
        Index("job_events_page", "job", "seq"),
    )


def job_checkpoints(metadata: MetaData) -> Table:
    """One row a checkpoint that can be asked."""
    return Table(
        "job_checkpoints",
        metadata,
        Column("seq", Seq, primary_key=True, autoincrement=False),
        Column("job", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("model", Text, nullable=False),
        Column("step", Integer, nullable=False),
        Column("metrics", LargeBinary, nullable=False),
        Index("job_checkpoints_page", "job", "seq"),
    )


def up(connection: Connection) -> None:
    """Makes all three."""
    create(connection, jobs, job_events, job_checkpoints)
