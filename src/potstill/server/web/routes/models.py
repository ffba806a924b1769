"""Who answers under which name, and the card, report and files of a student."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from potstill.errors import ConfigurationError, PotstillError
from potstill.exporters.ort_web import ort_web_files
from potstill.exporters.web import web_files
from potstill.runtime.generating import GenerativeManifest, is_generative
from potstill.runtime.generating.manifest import parse_generative
from potstill.runtime.manifest import NAME as MANIFEST
from potstill.runtime.manifest import Manifest, parse_manifest
from potstill.server.database.tables import models
from potstill.server.errors import invalid, not_found
from potstill.server.models import find_model
from potstill.server.models.registry import CHECKPOINT
from potstill.server.routes import models as api
from potstill.server.settings import ANY_MODEL
from potstill.server.web.asking import ask_all
from potstill.server.web.views.models import Model, ModelRow, model_page, models_page
from potstill.server.web.views.playground import Playground
from potstill.server.web.visit import HEADERS, Visit, go_to, look, send

REPORT, CARD, ARCHIVE = "report/report.html", "report/model_card.md", "bundle.zip"
# The report is one page with its own styles and pictures; it may run nothing and reach nobody.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; sandbox"
# The student's own page keeps its style inside and compiles WebAssembly; it reaches nobody but this server.
TRY_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' blob:; connect-src 'self'; style-src 'unsafe-inline'; "
    "img-src blob: data:; media-src blob:; worker-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'"
)
TRY_KINDS = {".html": "text/html", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json"}
MAX_CARD_BYTES = 64 << 10


async def show_all(visit: Visit) -> str:
    """Teachers and students."""
    query = select(models).where(models.c.project == visit.call.project).order_by(models.c.seq.desc())
    rows = await visit.call.services.database.read(lambda connection: connection.execute(query).all())
    students = [
        ModelRow(id=row.id, kind="student", base=row.base, created_at=row.created_at)
        for row in rows
        if CHECKPOINT not in row.id
    ]
    teachers = [
        ModelRow(id=name, kind="teacher") for name in visit.call.services.teachers.settings if name != ANY_MODEL
    ]
    return models_page(visit.viewer, [*students, *teachers])


async def show_one(visit: Visit) -> str:
    """The card of a student."""
    return model_page(visit.viewer, await _model(visit, Playground()))


async def ask(visit: Visit) -> str:
    """The same with answers of the playground."""
    prompt, id = visit.sent("prompt"), visit.call.path("model")
    row = await _row(visit)
    answers = await ask_all(visit, student=id, base=row.base, prompt=prompt)
    return model_page(visit.viewer, await _model(visit, Playground(prompt=prompt, answers=answers)))


async def delete(visit: Visit) -> Response:
    """Deletes it."""
    await api.remove(visit.call)
    return go_to("/models")


async def report(visit: Visit) -> Response:
    """The report of its run."""
    path = _folder(visit, await _row(visit)).parent / REPORT
    if not path.is_file():
        raise not_found("report", visit.call.path("model"))
    return FileResponse(path, headers={**HEADERS, "content-security-policy": REPORT_POLICY})


async def download(visit: Visit) -> Response:
    """A file of its bundle, by its name in the manifest; or the whole bundle."""
    folder, name = _folder(visit, await _row(visit)), visit.call.path("name")
    if name == ARCHIVE and (folder.parent / ARCHIVE).is_file():
        return FileResponse(folder.parent / ARCHIVE, headers=HEADERS, filename=name, media_type="application/zip")
    manifest = await run_in_threadpool(_manifest, folder)
    if name != MANIFEST and (manifest is None or name not in manifest.files):
        raise not_found("file", name)
    return FileResponse(folder / name, headers=HEADERS, filename=name, media_type="application/octet-stream")


async def try_it(visit: Visit) -> Response:
    """A file of the page that runs the student in the browser itself."""
    row, name = await _row(visit), visit.call.path("name")
    language = visit.viewer.words.language
    try:
        found = await run_in_threadpool(_browser_files, _folder(visit, row), row.id, language)
    except ConfigurationError as error:
        raise invalid(str(error), code="no_page") from None
    if name not in found:
        raise not_found("file", name)
    headers = {**HEADERS, "content-security-policy": TRY_POLICY}
    return Response(found[name], 200, headers, TRY_KINDS.get(Path(name).suffix, "application/octet-stream"))


def _browser_files(folder: Path, title: str, language: str) -> dict[str, bytes]:
    manifest = _manifest(folder)
    if not isinstance(manifest, Manifest):
        return {}
    bundle = {name: (folder / name).read_bytes() for name in (MANIFEST, *manifest.files)}
    return web_files(bundle, ort_web_files(), title=title, language=language)


async def _row(visit: Visit) -> Row[Any]:
    id, project = visit.call.path("model"), visit.call.project

    def find(connection: Connection) -> Row[Any]:
        return find_model(connection, project, id)

    return await visit.call.services.database.read(find)


def _folder(visit: Visit, row: Row[Any]) -> Path:
    return visit.call.services.settings.data / str(row.folder)


async def _model(visit: Visit, asked: Playground) -> Model:
    row = await _row(visit)
    return await run_in_threadpool(_read, row, _folder(visit, row), asked)


def _read(row: Row[Any], folder: Path, asked: Playground) -> Model:
    manifest = _manifest(folder)
    run = folder.parent
    card = run / CARD
    downloads, facts = {}, {}
    if manifest:
        downloads = {name: int(entry["size_bytes"]) for name, entry in manifest.files.items()}
        facts = dict(manifest.licenses)
    if isinstance(manifest, Manifest):
        facts = {
            "precision": manifest.precision,
            "classes": ", ".join(f"{field.name} ({len(field.classes)})" for field in manifest.schema.fields),
            **facts,
        }
    if (run / ARCHIVE).is_file():
        downloads = {ARCHIVE: (run / ARCHIVE).stat().st_size, **downloads}
    return Model(
        id=row.id,
        base=row.base,
        created_at=row.created_at,
        size_bytes=sum(int(each["size_bytes"]) for each in manifest.files.values()) if manifest else None,
        card=card.read_bytes()[:MAX_CARD_BYTES].decode("utf-8", "replace") if card.is_file() else "",
        facts=facts,
        downloads=downloads | ({MANIFEST: (folder / MANIFEST).stat().st_size} if manifest else {}),
        has_report=(run / REPORT).is_file(),
        can_try=isinstance(manifest, Manifest),
        job=next((parent.name for parent in folder.parents if parent.name.startswith("ftjob-")), ""),
        playground=asked,
    )


def _manifest(folder: Path) -> Manifest | GenerativeManifest | None:
    try:
        content = (folder / MANIFEST).read_bytes()
        return parse_generative(content) if is_generative(folder) else parse_manifest(content)
    except (OSError, PotstillError):
        return None


ENDPOINTS = (
    look("/models", show_all),
    look("/models/{model:path}/report", report),
    look("/models/{model:path}/files/{name}", download),
    look("/models/{model:path}/try/{name}", try_it),
    send("/models/{model:path}/ask", ask),
    send("/models/{model:path}/delete", delete),
    look("/models/{model:path}", show_one),
)
