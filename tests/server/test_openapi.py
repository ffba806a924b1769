"""The server against its own description, with requests that Schemathesis makes up."""

import json

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings

from potstill.server.endpoint import Policy
from potstill.server.openapi import describe
from potstill.server.routes import ENDPOINTS
from potstill.server.settings import TeacherSettings
from tests.server.postgres import empty_database
from tests.server.running import running
from tests.server.teacher import teaching

schemathesis = pytest.importorskip("schemathesis", reason="needs the extra dev")
checks = pytest.importorskip("schemathesis.checks")
conformance = pytest.importorskip("schemathesis.specs.openapi.checks")


@schemathesis.serializer("application/jsonl")
def as_lines(_, value):
    return json.dumps(value).encode() + b"\n"


DOCUMENT = describe(ENDPOINTS)
OPERATIONS = {
    f"{operation.method.upper()} {operation.path}": operation
    for operation in (found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations())
}
# What holds for every answer; whether a wrong request is refused is for the tests of each route.
CHECKS = (
    checks.not_a_server_error,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_schema_conformance,
)
CHAT = {"messages": [{"role": "user", "content": "red?"}, {"role": "assistant", "content": "red"}]}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def server(request, tmp_path_factory):
    """A server with a teacher, and a little of everything."""
    with teaching() as teacher:
        options = {"teachers": (TeacherSettings(name="big", base_url=teacher.url),), "teacher_timeout_s": 5.0}
        options["database_url"] = empty_database(request)
        with running(tmp_path_factory.mktemp("server") / "data", **options) as found:
            yield found


@pytest.fixture(scope="module")
def known(server):
    """Names of things that are there, by the parameter that takes them."""
    client = server.client()
    line = json.dumps({"item": {"colour": "red"}}).encode()
    file = client.files.create(file=("rows.jsonl", line), purpose="evals")
    upload = client.uploads.create(bytes=3, filename="a", mime_type="text/plain", purpose="evals")
    chat = client.chat.completions.create(model="big", messages=CHAT["messages"][:1], store=True)
    answer = client.responses.create(model="big", input="red?")
    criterion = {
        "type": "string_check",
        "name": "is red",
        "operation": "eq",
        "input": "{{item.colour}}",
        "reference": "red",
    }
    made = client.evals.create(
        data_source_config={"type": "custom", "item_schema": {"type": "object"}}, testing_criteria=[criterion]
    )
    source = {"type": "jsonl", "source": {"type": "file_id", "id": file.id}}
    run = client.evals.runs.create(made.id, data_source=source)
    tuned = client.files.create(file=("few.jsonl", json.dumps(CHAT).encode()), purpose="fine-tune")
    # It has too few rows, so it fails at once.
    job = client.fine_tuning.jobs.create(model="potstill-auto", training_file=tuned.id)
    asked = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "big", **CHAT}}
    lines = client.files.create(file=("batch.jsonl", json.dumps(asked).encode()), purpose="batch")
    batch = client.batches.create(input_file_id=lines.id, endpoint="/v1/chat/completions", completion_window="24h")
    return {
        "file_id": file.id,
        "upload_id": upload.id,
        "completion_id": chat.id,
        "response_id": answer.id,
        "eval_id": made.id,
        "run_id": run.id,
        "other_id": run.id,
        "job_id": job.id,
        "batch_id": batch.id,
        "model": "big",
    }


def test_every_route_stands_in_it_and_nothing_else():
    served = {
        (each.method.lower(), each.path.replace(":path}", "}"))
        for each in ENDPOINTS
        if each.policy is not Policy.BROWSER and not each.refuse
    }
    told = {(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert told <= served
    assert {path for _, path in served - told} <= {"/sign-in", "/language", "/static/{name}"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/chat/completions?created_after=13435055670", None),
        ("POST", "/potstill/datasets", {"filter": {"created_after": 2**70}}),
        ("POST", "/potstill/keys", {"project": "a", "name": "b", "expires_at": 2**70}),
        ("POST", "/potstill/keys", {"project": "a", "name": "b\0"}),
        ("GET", "/files/a%00", None),
    ],
)
def test_what_no_database_holds_is_no_error_of_the_server(server, method, path, body):
    headers = {"authorization": f"Bearer {server.api_key}"}
    answer = httpx2.request(method, server.base_url + path, json=body, headers=headers)
    assert answer.status_code < 500, answer.text


def fuzz(name, server, known, num_examples):
    operation = OPERATIONS[name]
    headers = {"authorization": f"Bearer {server.api_key}"}
    root = server.base_url.removesuffix("/v1")

    @settings(
        max_examples=num_examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case):
        case.call_and_validate(base_url=root, headers=headers, checks=CHECKS, timeout=60)
        if case.method != "DELETE" and set(case.path_parameters or {}) & set(known):
            case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
            case.call_and_validate(base_url=root, headers=headers, checks=CHECKS, timeout=60)

    ask()


@pytest.mark.parametrize("name", OPERATIONS)
def test_answers_are_as_described(name, server, known):
    fuzz(name, server, known, 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_answers_are_as_described_for_long(name, server, known):
    fuzz(name, server, known, 200)
