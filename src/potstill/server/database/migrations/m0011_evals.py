"""Evals, their runs, and what came out for every row."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, LargeBinary, MetaData, Table, Text

from potstill.server.database.types import Seq, create


def evals(metadata: MetaData) -> Table:
    """One row an eval."""
    return Table(
        "evals",
        metadata,
        Column("seq", Seq, primary_key=True, autoincrement=False),
        Column("project", Text, nullable=False),
        Column("id", Text, nullable=False, unique=True),
        Column("created_at", BigInteger, nullable=False),
        Column("updated_seq", BigInteger, nullable=False),
        Column("name", Text, nullable=False),
        Column("metadata_json", LargeBinary, nullable=False),
        Column("body", LargeBinary, nullable=False),  # JSON: data_source_config, testing_criteria
        Index("evals_page", "project", "seq"),
        Index("evals_updated", "project", "updated_seq"),
    )


def eval_runs(metadata: MetaData) -> Table:
    """One row a run."""
    return Table(
        "eval_runs",
        metadata,
        Column("seq", Seq, primary_key=True, autoincrement=False),
        Column("project", Text, nullable=False),
        Column("eval", Text, nullable=False),
        Column("id", Text, nullable=False, unique=True),
        Column("created_at", BigInteger, nullable=False),
        Column("status", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),  # JSON: data_source, name, metadata, model
        Column("error", LargeBinary),
        Index("eval_runs_page", "eval", "seq"),
        Index("eval_runs_status", "status"),
    )


def eval_items(metadata: MetaData) -> Table:
    """One row a row of a run's data source; a run that is taken up again leaves those alone that are there."""
    return Table(
        "eval_items",
        metadata,
        Column("seq", Seq, primary_key=True, autoincrement=False),
        Column("run", Text, nullable=False),
        Column("number", Integer, nullable=False),
        Column("id", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("status", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),  # JSON: datasource_item, results, sample, errors
        Index("eval_items_number", "run", "number", unique=True),
        Index("eval_items_page", "run", "seq"),
    )


def up(connection: Connection) -> None:
    """Makes all three."""
    create(connection, evals, eval_runs, eval_items)
