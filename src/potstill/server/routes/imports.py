"""/v1/potstill/imports: completions that were made elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.concurrency import run_in_threadpool

from potstill.server.bodies import read_bytes
from potstill.server.endpoint import Call, Endpoint, Policy
from potstill.server.errors import forbidden
from potstill.server.importing import Origin, import_lines
from potstill.server.pages import check_metadata, metadata_filter


async def create(call: Call) -> dict[str, Any]:
    """Takes JSONL of stored completions or of fine-tuning lines; a line that can't be used is named and passed over."""
    if not call.key.may_store:
        raise forbidden("Nothing that is sent with this key is kept, so it can't import.", "may_not_store")
    query = call.request.query_params
    content = await read_bytes(call.request, call.services.settings.max_body_bytes)
    origin = Origin(
        key=call.key,
        model=query.get("model", ""),
        teacher=query.get("teacher", ""),
        metadata=check_metadata(metadata_filter(query)) or {},
    )
    found = await run_in_threadpool(import_lines, call.services, origin, content)
    return {"object": "potstill.import", **asdict(found)}


ENDPOINTS = (Endpoint(method="POST", path="/v1/potstill/imports", policy=Policy.PROJECT, handler=create),)
