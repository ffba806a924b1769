"""From files to the rows of a run: train, dev, test and unlabelled, with all that was noticed on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data.duplicates import Pair, find_leaks, find_repeats
from potstill.data.folders import read_source
from potstill.data.guess import guess_label, guess_text
from potstill.data.inputs import base_folder, read_inputs
from potstill.data.labels import encode_labels, field_values, infer_schema, narrow, narrow_labels
from potstill.data.media import usual_rate
from potstill.data.options import DataOptions
from potstill.data.rows import Rows, joined
from potstill.data.splits import group_split, stratified_split
from potstill.data.table import Table, as_table
from potstill.errors import ConfigurationError, DataError
from potstill.types import OUT_OF_SCOPE, UNLABELLED, Finding, IntArray, LabelSchema


@dataclass(frozen=True, kw_only=True)
class Data:
    """The rows of a run. Labels stand in the full schema; `in_service` gives them in the service's.

    Attributes:
        full_schema: all classes of the training rows.
        schema: what the service keeps of them.
        train: labelled rows that teach.
        dev: labelled rows that choose and calibrate, and all training rows marked out of scope.
        test: labelled rows that judge, and rows marked out of scope.
        unlabelled: rows that only a teacher answers.
        options: with the columns that were guessed filled in.
        findings: what was noticed and done.
        digest: SHA-256 of all rows with their labels and places.
    """

    full_schema: LabelSchema
    schema: LabelSchema
    train: Rows
    dev: Rows
    test: Rows
    unlabelled: Rows
    options: DataOptions
    findings: tuple[Finding, ...]
    digest: str

    @property
    def taught_schema(self) -> LabelSchema:
        """Classes that a network is trained on: also those of which the service keeps no more than their sum.

        For texts; what it does to pictures and sounds is not measured.
        """
        is_summed = self.options.modality == "text" and self.schema.sums_rest_of(self.full_schema)
        return self.full_schema if is_summed else self.schema

    def in_service(self, rows: Rows) -> Rows:
        """The rows with the service's labels; rows of classes that it doesn't keep are left out."""
        labels = narrow_labels(rows.labels, self.full_schema, self.schema)
        kept = np.flatnonzero((labels != UNLABELLED).any(1))
        return replace(rows, labels=labels).take(kept)


def load_data(
    options: DataOptions, *, tables: Mapping[str, Any] | None = None, seed: int = 0, carry_columns: bool = False
) -> Data:
    """Reads, checks and splits.

    Args:
        options: which rows, columns and classes.
        tables: `train`, `test`, `unlabelled` as Python objects in place of files, see `as_table`.
        seed: of the splits.
        carry_columns: keep all further columns with the rows, for a teacher whose answers stand there.

    Raises:
        DataError: the rows can't be used as they are.
    """
    found = {name: _table(options, tables or {}, name) for name in ("train", "test", "unlabelled")}
    train_table = found["train"]
    if train_table is None:
        raise DataError("no training rows were given. Name a CSV, TSV, JSONL or Parquet file with labelled rows.")
    if len(train_table) == 0:
        raise DataError(f"{train_table.source} holds no rows below its header; a student has nothing to learn from")
    findings = [finding for table in found.values() if table for finding in table.findings]
    options = _with_columns(train_table, options, findings)
    fields = field_values(train_table, options)
    schema = infer_schema(fields, options, train_table.source)
    labelled_and_not = _rows(train_table, fields, schema, options, findings, carry_columns)
    train, blank = _apart(labelled_and_not)
    train = _without_repeats(train, findings)
    if found["test"] is not None:
        test_fields = field_values(found["test"], options)
        test, _ = _apart(_rows(found["test"], test_fields, schema, options, findings, carry_columns))
        if len(test) == 0:
            raise DataError(f"{found['test'].source} holds no labelled row, so nothing can be judged")
    else:
        kept, held = _split(train, options.test_share, options, seed, findings)
        train, test = train.take(kept), train.take(held)
        findings.append(Finding("held_out", {"count": len(test), "share": options.test_share}))
    _note_shared_groups(train, test, options, findings)
    unlabelled = _unlabelled(found["unlabelled"], blank, schema, options, findings, carry_columns)
    train = _without_leaks(train, test, options, findings, "training")
    unlabelled = _without_leaks(unlabelled, test, options, findings, "unlabelled")
    train, dev = _split_dev(train, options, seed, findings)
    unlabelled = _only_new(unlabelled, train, dev)
    service = narrow(schema, options)
    _check_sizes(schema, train, findings)
    return Data(
        full_schema=schema,
        schema=service,
        train=train,
        dev=dev,
        test=test,
        unlabelled=unlabelled,
        options=options,
        findings=tuple(findings),
        digest=_digest(schema, service, train, dev, test, unlabelled),
    )


def _table(options: DataOptions, tables: Mapping[str, Any], name: str) -> Table | None:
    if tables.get(name) is not None:
        return as_table(tables[name], name)
    path = getattr(options, name)
    if not path:
        return None
    return read_source(Path(path), encoding=options.encoding)


def _with_columns(table: Table, options: DataOptions, findings: list[Finding]) -> DataOptions:
    if not options.column:
        _refuse_folder(table)
        options = replace(options, text=guess_text(table, taken=options.label))
        findings.append(Finding("text_column", {"column": options.text}))
    if not options.label:
        options = replace(options, label=(guess_label(table, options.column),))
        findings.append(Finding("label_column", {"column": options.label[0]}))
    if options.audio and not options.sample_rate:
        rate = usual_rate(table.column(options.audio, "--audio"), base_folder(table))
        options = replace(options, sample_rate=rate)
        findings.append(Finding("sample_rate", {"rate": rate}))
    return options


def _refuse_folder(table: Table) -> None:
    kind = next((name for name in ("image", "audio") if Path(table.source).is_dir() and name in table.columns), None)
    if kind:
        raise ConfigurationError(f"{table.source} is a folder of files. Say what they are: data.{kind}={kind}")


def _rows(
    table: Table,
    fields: Mapping[str, Sequence[Any]],
    schema: LabelSchema,
    options: DataOptions,
    findings: list[Finding],
    carry_columns: bool,
) -> Rows:
    """All rows of a table with a usable input."""
    inputs, usable = read_inputs(table, options, findings)
    others = [n for n in table.columns if n != options.column and n not in options.label] if carry_columns else []
    if options.group and options.group not in others:
        table.column(options.group, "--group")
        others.append(options.group)
    rows = Rows(
        inputs=inputs,
        labels=encode_labels(fields, schema, options.out_of_scope, table),
        line_numbers=table.line_numbers,
        source=table.source,
        columns={name: table.columns[name] for name in others},
    )
    return rows if len(usable) == len(inputs) else rows.take(usable)


def _apart(rows: Rows) -> tuple[Rows, Rows]:
    """Labelled rows (or marked out of scope), and the others."""
    labelled = (rows.labels != UNLABELLED).any(1)
    return rows.take(np.flatnonzero(labelled)), rows.take(np.flatnonzero(~labelled))


def _without_repeats(rows: Rows, findings: list[Finding]) -> Rows:
    repeats, conflicts = find_repeats(rows)
    if conflicts:
        shown = "; ".join(_lines(rows, rows, pair) for pair in conflicts[:5])
        findings.append(Finding("conflicts", {"source": rows.source, "count": len(conflicts), "lines": shown}))
    if len(repeats) == 0:
        return rows
    shown = ", ".join(str(rows.line_numbers[i]) for i in repeats[:10])
    findings.append(Finding("repeats", {"source": rows.source, "count": len(repeats), "lines": shown}))
    return rows.take(np.setdiff1d(np.arange(len(rows)), repeats))


def _without_leaks(rows: Rows, test: Rows, options: DataOptions, findings: list[Finding], kind: str) -> Rows:
    leaks = find_leaks(rows, test, options.near_duplicate) if len(rows) else []
    if not leaks:
        return rows
    exact = sum(pair.similarity == 1 for pair in leaks)
    shown = "; ".join(_lines(rows, test, pair) for pair in leaks[:5])
    values = {"kind": kind, "count": len(leaks), "exact": exact, "near": len(leaks) - exact, "lines": shown}
    if options.leakage == "fail":
        raise DataError(
            f"{len(leaks)} {kind} rows stand in the test set too (lines here and there: {shown}). A test that was "
            "learned by heart proves nothing. Remove them, or set data.leakage."
        )
    findings.append(Finding(f"leaks_{'kept' if options.leakage == 'keep' else 'removed'}", values))
    if options.leakage == "keep":
        return rows
    gone = np.array([pair.position for pair in leaks], np.int64)
    return rows.take(np.setdiff1d(np.arange(len(rows)), gone))


def _lines(rows: Rows, others: Rows, pair: Pair) -> str:
    return f"{rows.line_numbers[pair.position]} and {others.line_numbers[pair.other]}"


def _unlabelled(
    table: Table | None, blank: Rows, schema: LabelSchema, options: DataOptions, findings: list[Finding], carry: bool
) -> Rows:
    """Rows of the unlabelled file and training rows without a label, each once."""
    parts = [blank]
    if table is not None:
        parts.append(_rows(table, {}, schema, replace(options, label=()), findings, carry))
    if len(blank):
        findings.append(Finding("no_label", {"source": blank.source, "count": len(blank)}))
    rows = parts[-1] if len(blank) == 0 else joined(parts)
    repeats, _ = find_repeats(rows)
    return rows.take(np.setdiff1d(np.arange(len(rows)), repeats))


def _split_dev(train: Rows, options: DataOptions, seed: int, findings: list[Finding]) -> tuple[Rows, Rows]:
    """Dev takes a share of the labelled rows, and every row marked out of scope: those are never taught."""
    outside = (train.labels == OUT_OF_SCOPE).any(1)
    inside = np.flatnonzero(~outside)
    scope = train.take(inside)
    rest, chosen = _split(scope, options.dev_share, options, seed + 1, findings)
    dev = np.sort(np.concatenate([inside[chosen], np.flatnonzero(outside)]))
    return train.take(inside[rest]), train.take(dev)


def _split(
    rows: Rows, share: float, options: DataOptions, seed: int, findings: list[Finding]
) -> tuple[IntArray, IntArray]:
    """By whole groups where the rows have several of them, else by rows."""
    digests = rows.digests()
    if options.group:
        groups = [str(value) for value in rows.columns[options.group]]
        if len(set(groups)) > 1:
            return group_split(groups, share, seed=seed)
        findings.append(Finding("one_group", {"column": options.group, "group": groups[0] if groups else ""}))
    return stratified_split(rows.labels, digests, share, seed=seed)


def _note_shared_groups(train: Rows, test: Rows, options: DataOptions, findings: list[Finding]) -> None:
    """A speaker who was heard in training makes the test easier than the world will be."""
    if not options.group:
        return
    shared = sorted({str(v) for v in train.columns[options.group]} & {str(v) for v in test.columns[options.group]})
    if shared:
        values = {"column": options.group, "count": len(shared), "groups": ", ".join(shared[:10])}
        findings.append(Finding("groups_shared", values))


def _only_new(unlabelled: Rows, *others: Rows) -> Rows:
    known = {digest for rows in others for digest in rows.digests()}
    return unlabelled.take(
        np.array([i for i, digest in enumerate(unlabelled.digests()) if digest not in known], np.int64)
    )


def _check_sizes(schema: LabelSchema, train: Rows, findings: list[Finding]) -> None:
    for field, _, column in schema.parts():
        labels: IntArray = train.labels[:, column]
        if field.multi:
            counts = (labels == 1).sum(0)
        else:
            counts = np.bincount(labels[labels >= 0].reshape(-1), minlength=len(field.classes))
        empty = [name for name, count in zip(field.classes, counts, strict=True) if count == 0]
        if len(empty) == len(field.classes) or (not field.multi and len(empty) > len(field.classes) - 2):
            raise DataError(
                f"after the splits only {len(field.classes) - len(empty)} class of field {field.name!r} has a training "
                "row. Add labelled rows."
            )
        if empty:
            values = {"field": field.name, "count": len(empty), "classes": ", ".join(empty[:10])}
            findings.append(Finding("classes_without_rows", values))


def _digest(schema: LabelSchema, service: LabelSchema, *parts: Rows) -> str:
    total = hashlib.sha256(repr((schema.to_json(), service.to_json())).encode())
    for rows in parts:
        total.update(f"rows {len(rows)}".encode())
        for digest in rows.digests():
            total.update(digest)
        total.update(np.ascontiguousarray(rows.labels, "<i4").tobytes())
    return total.hexdigest()
