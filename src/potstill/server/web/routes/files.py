"""Downloads of a project's files."""

from __future__ import annotations

from starlette.responses import Response

from potstill.server.routes import files
from potstill.server.web.visit import HEADERS, Visit, look


async def download(visit: Visit) -> Response:
    """The bytes of one, never shown in the browser."""
    answer = await files.content(visit.call)
    answer.headers.update({**HEADERS, "content-type": "application/octet-stream"})
    answer.headers.setdefault("content-disposition", "attachment")
    return answer


ENDPOINTS = (look("/files/{file_id}", download),)
