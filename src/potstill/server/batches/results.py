"""The files of answers and of errors that a batch leaves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import msgspec
from sqlalchemy import Connection, Row, select

from potstill.server.answerers import Json
from potstill.server.database.tables import batch_lines
from potstill.server.files import add_file, new_file

if TYPE_CHECKING:
    from potstill.server.services import Services

KEPT_S = 30 * 24 * 3600
"""How long the files are kept where the client says nothing."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """What came out.

    Attributes:
        answers: row of the file of answers; None where there are none.
        errors: row of the file of errors; None where there are none.
        counts: lines in either.
        usage: tokens of all answers, under the names of the batch object.
    """

    answers: Json | None
    errors: Json | None
    counts: tuple[int, int]
    usage: Json

    def outcome(self) -> Json:
        """What a batch's row notes of it."""
        files = {"output_file_id": self.answers, "error_file_id": self.errors}
        named = {name: file["id"] for name, file in files.items() if file is not None}
        return {"total": sum(self.counts), "counts": self.counts, "usage": self.usage, **named}


async def keep_results(services: Services, row: Row[Any], kept_s: int | None) -> Results:
    """Writes the answered lines, in the order of the input, into the store; their files' rows are still to be added.

    Args:
        services: of the server.
        row: of the batch.
        kept_s: seconds until the files expire.
    """

    def write(connection: Connection) -> Results:
        counts, usage = [0, 0], Counter[str]()
        query = select(batch_lines.c.is_error, batch_lines.c.body).where(batch_lines.c.batch == row.id)
        with services.blobs.draft() as answers, services.blobs.draft() as errors:
            for is_error, body in connection.execute(query.order_by(batch_lines.c.number)):
                (errors if is_error else answers).write(body + b"\n")
                counts[bool(is_error)] += 1
                if not is_error:
                    _count(usage, msgspec.json.decode(body)["response"]["body"].get("usage") or {})
            files = []
            for name, draft, count in (("output", answers, counts[0]), ("error", errors, counts[1])):
                options = {"purpose": "batch_output", "size": draft.size, "lifetime_s": kept_s or KEPT_S}
                named: Json = {"filename": f"{row.id}_{name}.jsonl", **options}
                files.append(new_file(row.project, digest=draft.keep(), **named) if count else None)
        return Results(answers=files[0], errors=files[1], counts=(counts[0], counts[1]), usage=_shown(usage))

    return await services.database.read(write)


def add_results(connection: Connection, results: Results) -> None:
    """Adds the rows of the files."""
    for file in (results.answers, results.errors):
        if file is not None:
            add_file(connection, file)


def _count(total: Counter[str], usage: Json) -> None:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    counts = {"prompt": usage.get("prompt_tokens"), "answer": usage.get("completion_tokens")}
    total.update({name: n or 0 for name, n in {**counts, "cached": cached, "reasoning": reasoning}.items()})


def _shown(total: Counter[str]) -> Json:
    return {
        "input_tokens": total["prompt"],
        "input_tokens_details": {"cached_tokens": total["cached"]},
        "output_tokens": total["answer"],
        "output_tokens_details": {"reasoning_tokens": total["reasoning"]},
        "total_tokens": total["prompt"] + total["answer"],
    }
