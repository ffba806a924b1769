"""Every answer against OpenAI's published schema: the SDK itself takes missing fields without a word."""

import json
import re
from functools import cache
from pathlib import Path

import httpx2
import jsonschema
import pytest
import yaml

from potstill.server.openapi import describe
from potstill.server.routes import ENDPOINTS

DOCUMENT = Path(__file__).resolve().parents[3] / "shared" / "openai" / "openapi.yaml"
# Where the published schema contradicts its own example or the service: place -> why.
KNOWN = {
    ("GET", "/chat/completions/{completion_id}/messages"): "asks for role `assistant`, where input messages are listed",
    ("DELETE", "/responses/{response_id}"): "names no form of its answer, which its example has",
}


@cache
def document():
    if not DOCUMENT.is_file():
        pytest.skip(f"needs OpenAI's published schema, {DOCUMENT}")
    found = _plain(yaml.load(DOCUMENT.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    # Taken in requests and by the SDK, and forgotten in answers.
    found["components"]["schemas"]["OpenAIFile"]["properties"]["purpose"]["enum"].append("evals")
    # Jobs can be paused, the published example of it shows so, and the list of states lacks it.
    found["components"]["schemas"]["FineTuningJob"]["properties"]["status"]["enum"].append("paused")
    # The SDK asks for base64 where nobody says otherwise, and the schema knows lists of numbers alone.
    embedding = found["components"]["schemas"]["Embedding"]["properties"]
    embedding["embedding"] = {"anyOf": [embedding["embedding"], {"type": "string"}]}
    # A message of a template is valid as two of three forms at once.
    _any_of(found["components"]["schemas"]["CreateEvalCompletionsRunDataSource"])
    # Null where nothing went wrong, as the service answers.
    for name in ("EvalRun", "EvalRunOutputItem"):
        properties = found["components"]["schemas"][name]["properties"]
        place = properties if name == "EvalRun" else properties["sample"]["properties"]
        place["error"] = {"anyOf": [place["error"], {"type": "null"}]}
    return found


def _any_of(value):
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _any_of(item)
    if isinstance(value, dict) and "oneOf" in value:
        value["anyOf"] = value.pop("oneOf")


def _plain(value):
    """OpenAPI's `nullable` as JSON Schema says it; everything else is JSON Schema already (OpenAPI 3.1)."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _plain(item) for key, item in value.items() if key not in ("example", "examples")}
    if found.get("exclusiveMinimum") is True:
        found["exclusiveMinimum"] = found.pop("minimum")
    if found.pop("nullable", False) is True:
        return {"anyOf": [found, {"type": "null"}]}
    return found


@cache
def validator(method, path, status):
    operation = document()["paths"][path][method.lower()]
    answer = operation["responses"].get(str(status))
    if status >= 400 and not (answer and "content" in answer):
        schema = {"$ref": "#/components/schemas/ErrorResponse"}
    else:
        assert answer, f"{method} {path} has no answer {status} in the published schema"
        schema = answer["content"]["application/json"]["schema"]
    # Only what it names: a search through all 900 schemas takes longer than the test.
    known, names = document()["components"]["schemas"], {}
    waiting = [schema]
    while waiting:
        for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(waiting.pop())):
            if name not in names:
                names[name] = known[name]
                waiting.append(known[name])
    return jsonschema.Draft202012Validator({**schema, "components": {"schemas": names}})


@cache
def _paths():
    found = [(path, re.compile(re.sub(r"\\{\w+\\}|\{\w+\}", "[^/]+", path) + "$")) for path in document()["paths"]]
    return sorted(found, key=lambda item: item[0].count("{"))


def check(method, url_path, status, content):
    """Fails with the place in the answer that the schema forbids."""
    under = url_path.removeprefix("/v1")
    path = next((path for path, pattern in _paths() if pattern.match(under)), None)
    if path is None or (method, path) in KNOWN or method.lower() not in document()["paths"][path]:
        return
    problems = list(validator(method, path, status).iter_errors(json.loads(content)))
    assert not problems, f"{method} {path} {status}: {problems[0].json_path}: {problems[0].message[:500]}"


@cache
def _ours():
    found = describe(ENDPOINTS)
    # Names of models hold slashes.
    patterns = {path: re.sub(r"{(model|name)}", ".+", path) for path in found["paths"]}
    paths = [(re.compile(re.sub(r"{\w+}", "[^/]+", pattern) + "$"), path) for path, pattern in patterns.items()]
    return found, sorted(paths, key=lambda item: item[1].count("{"))


def check_ours(method, url_path, status, content):
    """Fails where the answer isn't what the server's own description says."""
    document, paths = _ours()
    path = next((path for pattern, path in paths if pattern.match(url_path)), None)
    operation = document["paths"].get(path, {}).get(method.lower())
    if operation is None:
        return
    answer = operation["responses"].get(str(status) if status < 500 else "5XX")
    assert answer, f"{method} {path} says nothing of {status}"
    if "$ref" not in answer:
        schema = answer["content"]["application/json"]["schema"]
        problems = list(jsonschema.Draft202012Validator(schema).iter_errors(json.loads(content)))
        assert not problems, f"{method} {path} {status}: {problems[0].json_path}: {problems[0].message[:500]}"


def strict_client():
    """For the SDK's `http_client`: fails a test as soon as an answer is not in the published form, or not in ours."""

    def verify(response):
        content_type = response.headers.get("content-type", "")
        if content_type.startswith("application/json"):
            asked = response.request
            check(asked.method, asked.url.path, response.status_code, response.read())
            check_ours(asked.method, asked.url.path, response.status_code, response.read())

    return httpx2.Client(event_hooks={"response": [verify]}, timeout=60)
