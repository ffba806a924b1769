"""The server's own description, OpenAPI 3.1, from its endpoints: nothing stands in it that isn't served."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from potstill import __version__
from potstill.server.endpoint import PAGE, Endpoint, Policy

Json = dict[str, Any]
ABOUT = """OpenAI's distillation API and what Potstill adds to it, under /v1/potstill. Objects have the form that OpenAI
publishes; here stands what tells them apart. Bodies take further fields: what would change an answer and isn't served
is refused with 400, and the rest is passed over or passed on to the teacher. The WebSocket /v1/realtime and the
dashboard's pages are not described by OpenAPI."""
TEXT: Json = {"type": "string"}
METADATA: Json = {"type": "object", "additionalProperties": TEXT}
QUERY: dict[str, Json] = {
    "after": TEXT,
    "limit": {"type": "integer", "minimum": 1},
    "order": {"enum": ["asc", "desc"]},
    "created_after": {"type": "integer", "minimum": 0},
    "created_before": {"type": "integer", "minimum": 0},
    "order_by": {"enum": ["created_at", "updated_at"]},
    "metadata": METADATA,
}
"""Parameters that are more than a text."""
ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": TEXT,
                "type": TEXT,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
ERRORS = {
    "400": "The request can't be used as it is.",
    "401": "No key, or not a valid one.",
    "403": "A valid key that may not do this, or a browser's request from elsewhere.",
    "404": "There is no such thing, or it is another project's.",
    "413": "Too large.",
    "421": "The Host header names another server.",
    "429": "Too many at once; the header Retry-After says when to come again.",
    "5XX": "The server or a teacher failed.",
}
EVENTS = "text/event-stream"
PLAIN = dict[str, Any]


def describe(endpoints: Sequence[Endpoint]) -> Json:
    """The whole document; pages of the dashboard are left out."""
    served = [each for each in endpoints if each.policy is not Policy.BROWSER and not each.refuse]
    read = [kind for each in served if (kind := _kind(each)) not in (None, PLAIN)]
    refs, schemas = msgspec.json.schema_components(read, ref_template="#/components/schemas/{name}")
    places = iter(refs)
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    paths: dict[str, Json] = {}
    for each in served:
        kind = _kind(each)
        schema = {"type": "object"} if kind == PLAIN else None if kind is None else next(places)
        paths.setdefault(_path(each), {})[each.method.lower()] = _operation(each, schema)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Potstill", "version": __version__, "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": ERROR},
            "responses": {status: {"description": said, "content": error} for status, said in ERRORS.items()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _kind(endpoint: Endpoint) -> Any:
    return endpoint.doc.reads or endpoint.body


def _path(endpoint: Endpoint) -> str:
    return re.sub(r":\w+}", "}", endpoint.path)


def _operation(endpoint: Endpoint, schema: Json | None) -> Json:
    summary, _, rest = (inspect.getdoc(endpoint.handler) or "").partition("\n")
    found: Json = {
        "operationId": re.sub(r"\W+", "_", f"{endpoint.method} {endpoint.path}").strip("_").lower(),
        "summary": summary,
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint)],
        "responses": _responses(endpoint),
    }
    if rest.strip() and "Raises" not in rest:
        found["description"] = rest.strip()
    if content := _content(endpoint, schema):
        found["requestBody"] = {"required": True, "content": content}
    if endpoint.policy in (Policy.PUBLIC, Policy.DEVICE):
        found["security"] = []
    if endpoint.policy is not Policy.PROJECT:
        found["description"] = f"For {endpoint.policy.value}."
    return found


def _path_parameters(endpoint: Endpoint) -> list[Json]:
    names = re.findall(r"{(\w+)", endpoint.path)
    return [{"name": name, "in": "path", "required": True, "schema": {**TEXT, "minLength": 1}} for name in names]


def _query_parameters(endpoint: Endpoint) -> list[Json]:
    names = [name for each in endpoint.doc.query for name in (PAGE if each == "page" else (each,))]
    # metadata[key]=value, as OpenAI's filters are written.
    forms = {"metadata": {"style": "deepObject", "explode": True}}
    return [{"name": n, "in": "query", "schema": QUERY.get(n, TEXT), **forms.get(n, {})} for n in names]


def _content(endpoint: Endpoint, schema: Json | None) -> Json:
    doc = endpoint.doc
    if doc.form:
        fields = {
            name: {"type": "string", "format": "binary"} if name in ("file", "data") else TEXT for name in doc.form
        }
        required = [name for name, needed in doc.form.items() if needed]
        return {"multipart/form-data": {"schema": {"type": "object", "properties": fields, "required": required}}}
    if doc.raw:
        return {doc.raw: {"schema": {}}}
    return {"application/json": {"schema": schema}} if schema is not None else {}


def _responses(endpoint: Endpoint) -> Json:
    doc = endpoint.doc
    content = {doc.media: {} if doc.media != "application/json" else {"schema": _answer(doc.answer)}}
    content |= {EVENTS: {}} if doc.streams else {}
    content |= {"text/plain": {}} if doc.also_text else {}
    errors = {status: {"$ref": f"#/components/responses/{status}"} for status in ERRORS}
    return {str(doc.status): {"description": "As asked.", "content": content}, **errors}


def _answer(name: str) -> Json:
    """An object by its `object`; `page of X` and `list of X` hold such objects, and nothing is said of `json`."""
    kind, of, item = name.partition(" of ")
    if of:
        members: Json = {"object": {"const": "list"}, "data": {"type": "array", "items": _answer(item)}}
        if kind == "page":
            members |= {"first_id": TEXT, "last_id": TEXT, "has_more": {"type": "boolean"}}
        return {"type": "object", "required": list(members), "properties": members}
    if name == "json":
        return {"type": "object"}
    return {"type": "object", "required": ["object"], "properties": {"object": {"const": name}}}
