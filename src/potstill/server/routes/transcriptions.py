"""/v1/audio/transcriptions: what a student hears in a file."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from potstill.errors import DataError
from potstill.runtime.media.sounds import read_sound
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import invalid
from potstill.server.realtime.talk import said_text
from potstill.server.realtime.telling import logprobs, worth_of
from potstill.server.routes.files import OVERHEAD, file_of, read_form, text_of

PATH = "/v1/audio/transcriptions"
MAX_BYTES = 25 << 20
FORMATS = ("json", "text", "verbose_json")


async def create(call: Call) -> Any:
    """Takes a form with `file` and `model`; a file is one utterance."""
    async with read_form(call.request, MAX_BYTES + OVERHEAD) as form:
        model = call.services.voices.find(text_of(form, "model"))
        form_of = str(form.get("response_format") or "json")
        if form_of not in FORMATS:
            raise invalid(
                f"'response_format' is one of {', '.join(FORMATS)}; a student's answer has no times to print.",
                "response_format",
                "invalid_value",
            )
        if str(form.get("stream") or "false") == "true":
            raise invalid("A student answers at once; leave 'stream' out.", "stream", "unsupported")
        wants = "logprobs" in form.getlist("include[]")
        content = await file_of(form, "file").read()
    rate = int(model.manifest.preprocess["rate"])
    try:
        sound = await run_in_threadpool(read_sound, content, rate)
        prediction = (await run_in_threadpool(model.predict, [sound]))[0]
    except DataError as error:
        raise invalid(f"The file can't be heard: {error}.", "file", "invalid_audio") from None
    text, seconds = said_text(prediction), len(sound) / rate
    if form_of == "text":
        return Response(text + "\n", media_type="text/plain")
    found = {
        "text": text,
        "usage": {"type": "duration", "seconds": round(seconds, 3)},
        "potstill": worth_of(prediction),
    }
    if form_of == "verbose_json":
        return {**found, "task": "transcribe", "language": "", "duration": round(seconds, 3), "segments": []}
    return found | ({"logprobs": logprobs(text, prediction)} if wants else {})


ENDPOINTS = (
    Endpoint(
        method="POST",
        path=PATH,
        policy=Policy.PROJECT,
        handler=create,
        doc=Doc(
            answer="json",
            form={"file": True, "model": True, "response_format": False, "stream": False, "include[]": False},
            also_text=True,
        ),
    ),
)
