"""/v1/embeddings: where a student of texts puts a text among all others."""

from __future__ import annotations

import base64
from typing import Any, Literal

import msgspec
import numpy as np
from starlette.concurrency import run_in_threadpool

from potstill.errors import DataError
from potstill.server.answerers import find_answerer
from potstill.server.chat import count_tokens
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import ApiError, invalid
from potstill.server.models import Student
from potstill.types import FloatArray

MOST_INPUTS = 2048


class EmbeddingRequest(msgspec.Struct):
    """What we look at in a request."""

    model: str
    input: Any
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


async def create(call: Call) -> dict[str, Any]:
    """Embeds texts; a student reads as many pieces of each as it was trained to read, and those are what is counted."""
    asked: EmbeddingRequest = call.body
    texts = _texts(asked.input)
    student = await find_answerer(call.services, call.project, asked.model)
    size = student.model.manifest.embedding_size if isinstance(student, Student) else None
    if not isinstance(student, Student) or size is None:
        raise _cannot_embed(asked.model)
    if asked.dimensions not in (None, size):
        raise invalid(
            f"This student's embeddings have {size} values, and it can't shorten them. Leave 'dimensions' out.",
            "dimensions",
            "unsupported_value",
        )
    model = student.model
    try:
        vectors_ND = await run_in_threadpool(model.embed, texts)
        num_pieces = sum(map(model.preprocessor.length, await run_in_threadpool(model.preprocessor.encode, texts)))
    except DataError as error:
        raise invalid(str(error), "input") from None
    usage = {"prompt_tokens": num_pieces, "total_tokens": num_pieces}
    count_tokens(call.services, call.key, asked.model, student.name, usage)
    data = [
        {"object": "embedding", "index": i, "embedding": _written(vector_D, asked.encoding_format)}
        for i, vector_D in enumerate(vectors_ND)
    ]
    return {"object": "list", "data": data, "model": asked.model, "usage": usage}


def _texts(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not 0 < len(texts) <= MOST_INPUTS:
        raise invalid(f"'input' is a text, or a list of 1 to {MOST_INPUTS} texts.", "input", "invalid_value")
    for position, text in enumerate(texts):
        if isinstance(text, int | list):
            raise invalid(
                "'input' holds tokens, and a student has a tokenizer of its own, whose numbers mean other pieces. Send "
                "the text; LangChain does with check_embedding_ctx_length=False.",
                "input",
                "unsupported_value",
            )
        if not isinstance(text, str) or not text:
            raise invalid(
                f"'input' {position} is {'an empty text' if text == '' else 'no text'}.", "input", "invalid_value"
            )
    return texts


def _cannot_embed(model: str) -> ApiError:
    return invalid(
        f"The model `{model[:200]}` gives no embeddings. Students that read texts as pieces do (cnn, static, encoder; "
        "a job chooses one of them for most texts), unless their bundle is older than embeddings; then train it again. "
        "Teachers are asked at their own address.",
        "model",
        "model_not_supported",
    )


def _written(vector_D: FloatArray, form: str) -> list[float] | str:
    return (
        vector_D.tolist() if form == "float" else base64.b64encode(vector_D.astype(np.dtype("<f4")).tobytes()).decode()
    )


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/embeddings",
        policy=Policy.PROJECT,
        handler=create,
        body=EmbeddingRequest,
        doc=Doc(answer="list of embedding"),
    ),
)
