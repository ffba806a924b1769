"""Who may do what, for every route there is."""

import httpx2
import pytest

from potstill.server.auth import checksum, is_well_formed, new_secret
from potstill.server.endpoint import Policy
from potstill.server.routes import ENDPOINTS

PUBLIC = {
    ("GET", "/healthz"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("POST", "/language"),
    ("GET", "/static/{name}"),
}
PAGES = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS if endpoint.policy is Policy.BROWSER}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def ask(server, method, path, key=None, **options):
    root = server.base_url.removesuffix("/v1")
    headers = {**({"authorization": f"Bearer {key}"} if key else {}), **options.pop("headers", {})}
    # Without a look at the system's certificates, which takes longer than the request.
    return httpx2.request(
        method, root + path.replace("{", "").replace("}", ""), headers=headers, verify=False, timeout=60, **options
    )


def test_public_routes_are_named_here():
    assert {(e.method, e.path) for e in ENDPOINTS if e.policy is Policy.PUBLIC} == PUBLIC


def test_every_route_and_method_without_a_key_is_401(server):
    wrong = new_secret()
    for path in sorted({endpoint.path for endpoint in ENDPOINTS} | {"/v1/nothing"}):
        for method in METHODS:
            # What a device has signed needs no key; this body is signed by nobody.
            if (method, path) in PUBLIC:
                continue
            for key in (None, wrong, "sk-1'; DROP TABLE keys; --"):
                answer = ask(server, method, path, key)
                assert answer.status_code == 401, (method, path, key)
                if (method, path) in PAGES:
                    assert 'action="/sign-in"' in answer.text
                else:
                    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_errors_have_their_four_keys(server):
    for method, path, status in (("GET", "/v1/nothing", 404), ("PATCH", "/v1/files", 405), ("POST", "/v1/files", 400)):
        answer = ask(server, method, path, server.api_key)
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert answer.headers["x-request-id"].startswith("req_")


def test_another_project_sees_nothing(server, client):
    made = client.files.create(file=("a", b"x"), purpose="evals")
    other = server.new_key("other")
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/content")):
        answer = ask(server, method, f"/v1/files/{made.id}{path}", other)
        unknown = ask(server, method, f"/v1/files/file-0{path}", other)
        assert answer.status_code == unknown.status_code == 404
        assert answer.json()["error"]["message"].replace(made.id, "file-0") == unknown.json()["error"]["message"]
    assert ask(server, "GET", "/v1/files", other).json()["data"] == []
    assert ask(server, "GET", f"/v1/files?after={made.id}", other).status_code == 404


def test_only_an_administrator_sees_what_concerns_all(server):
    plain = server.new_key("other")
    for endpoint in ENDPOINTS:
        if endpoint.policy is Policy.ADMIN:
            assert ask(server, endpoint.method, endpoint.path, plain).status_code == 403
    assert b"potstill_requests_total" in ask(server, "GET", "/metrics", server.api_key).content


def test_an_expired_key_opens_nothing(server):
    assert ask(server, "GET", "/v1/files", server.new_key("other", expires_at=1)).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "localhost:1"}, 200),
        ({"host": "user@evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_pages_from_elsewhere_are_kept_out(server, headers, status):
    assert ask(server, "GET", "/healthz", headers=headers).status_code == status


def test_keys_are_kept_as_hashes(server, tmp_path):
    body = server.api_key[len("sk-pot-") : -6]
    assert is_well_formed(server.api_key) and checksum(body) == server.api_key[-6:]
    assert not is_well_formed(server.api_key[:-1] + "!")
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or body.encode() not in path.read_bytes()
