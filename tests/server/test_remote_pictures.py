import asyncio
import ipaddress
import json
from functools import partial

import openai
import pytest

from potstill.errors import ConfigurationError
from potstill.server.remote_pictures import fetch_all, is_public, read_fetched, read_hosts
from potstill.server.training_files import read_chat_lines, remote_urls
from tests.media import file_of, pictures
from tests.server.jobs.test_jobs import messages, wait
from tests.server.pictures import serving_pictures, write_certificate
from tests.server.running import running

PICTURE = file_of(pictures(1)[0][0])


@pytest.fixture
def answers():
    large = PICTURE + b"x" * (10 << 20)
    return {"/one.png": PICTURE, "/large.png": large, "/page": b"<html>", "/cut.png": PICTURE[:60]}


@pytest.fixture
def shop(tmp_path, monkeypatch, answers):
    """A host of pictures that a server may ask, by the name `localhost`."""
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving_pictures(certificate, answers) as (port, asked):
        answers |= {
            "/moved": "/one.png",
            "/round": "/round",
            "/plain": f"http://localhost:{port}/one.png",
            "/inside": "https://169.254.169.254/latest/meta-data",
            "/address": f"https://127.0.0.1:{port}/one.png",
        }
        yield port, asked


def fetch(url, *hosts):
    return asyncio.run(read_hosts(hosts).fetch(url))


def test_a_picture_is_fetched_also_behind_a_redirect(shop):
    port, asked = shop
    for path in ("/one.png", "/moved"):
        assert fetch(f"https://localhost:{port}{path}", f"localhost:{port}=127.0.0.1/32").content == PICTURE
    assert asked == ["/one.png", "/moved", "/one.png"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/none", "inaccessible URL: status 404"),
        ("/large.png", "image too large"),
        ("/page", "invalid image format"),
        ("/round", "inaccessible URL: more than 3 redirects"),
        ("/plain", "inaccessible URL: not a plain https address"),
        ("/inside", "inaccessible URL: this server takes no pictures from there"),
        ("/address", "inaccessible URL: this server takes no pictures from there"),
    ],
)
def test_what_a_host_answers_else_is_named(shop, path, reason):
    found = fetch(f"https://localhost:{shop[0]}{path}", f"localhost:{shop[0]}=127.0.0.1/32")
    assert (found.content, found.reason) == (b"", reason)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:{port}/one.png",
        "https://2130706433:{port}/one.png",
        "https://[::1]:{port}/one.png",
        "https://localhost/one.png",
        "https://user@localhost:{port}/one.png",
        "https://localhost:{port}@example.com/one.png",
        "https://example.com\\@localhost:{port}/one.png",
        "https://localhost.:{port}/one.png",
        "http://localhost:{port}/one.png",
        "file:///etc/passwd",
        "gopher://localhost:{port}/",
        "https://",
        "https://localhost:99999/",
    ],
)
def test_other_spellings_and_schemes_reach_nothing(shop, url):
    port, asked = shop
    assert fetch(url.format(port=port), f"localhost:{port}=127.0.0.1/32").reason.startswith("inaccessible URL")
    assert asked == []


def test_a_name_that_leads_inside_is_not_asked_and_nothing_is_without_a_list(shop):
    port, asked = shop
    url = f"https://localhost:{port}/one.png"
    assert "leads to an address" in fetch(url, f"localhost:{port}").reason
    assert "leads to an address" in fetch(url, f"localhost:{port}=10.0.0.0/8").reason
    assert fetch(url).reason == "inaccessible URL"
    assert asked == []


def test_a_host_without_a_trusted_certificate_is_not_asked(shop, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    found = fetch(f"https://localhost:{shop[0]}/one.png", f"localhost:{shop[0]}=127.0.0.1/32")
    assert found.reason == "inaccessible URL: no connection" and shop[1] == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        *((name, False) for name in ("127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1")),
        *((name, False) for name in ("::1", "::ffff:8.8.8.8", "fe80::1", "fd00::1", "2002:7f00:1::", "64:ff9b::1")),
    ],
)
def test_what_is_public(address, public):
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize("option", ["10.0.0.1", "[::1]", "*", "https://example.com", "example.com=8", "example.com/x"])
def test_hosts_that_are_none(option):
    with pytest.raises(ConfigurationError, match="--allow-images-from"):
        read_hosts([option])


def line(url, answer="red"):
    asked = [{"type": "text", "text": "Which?"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}


def test_a_skipped_picture_is_reported_with_line_index_and_reason(shop, tmp_path):
    port, asked = shop
    hosts = read_hosts([f"localhost:{port}=127.0.0.1/32"])
    urls = [f"https://localhost:{port}{path}" for path in ("/one.png", "/one.png", "/none", "/cut.png")]
    rows = [*map(line, [*urls, "https://example.com/x.png"])]
    content = b"\n".join(json.dumps(row).encode() for row in rows)
    content += b'\nno json, "http'
    assert remote_urls(content) == [*urls, "https://example.com/x.png"]
    asyncio.run(fetch_all(remote_urls(content), hosts, tmp_path / "fetched"))
    assert sorted(asked) == ["/cut.png", "/none", "/one.png"]
    # A job that goes on asks nobody again.
    asyncio.run(fetch_all(remote_urls(content), hosts, tmp_path / "fetched"))
    assert len(asked) == 3
    kept = content.rpartition(b"\n")[0]
    found = read_chat_lines(kept, least=1, read=partial(read_fetched, tmp_path / "fetched"))
    assert [(s.line, s.index) for s in found.skipped] == [(3, 0), (4, 0), (5, 0)]
    reasons = [s.reason for s in found.skipped]
    assert reasons[0] == "inaccessible URL: status 404" and reasons[1].startswith("invalid image format: no whole")
    assert reasons[2] == "inaccessible URL: this server takes no pictures from there" and found.num_images == 2


@pytest.fixture
def open_shop(shop, tmp_path):
    port, asked = shop
    with running(tmp_path / "data", images_from=(f"localhost:{port}=127.0.0.1/32",)) as server:
        yield server.client(), f"https://localhost:{port}", asked


def test_a_job_fetches_its_pictures_and_its_student_reads_addresses(shop, open_shop, answers):
    client, base, asked = open_shop
    rows = pictures(36)
    answers |= {f"/{i}.png": file_of(array) for i, (array, _) in enumerate(rows)}
    lines = [line(f"{base}/{i}.png", label) for i, (_, label) in enumerate(rows)]
    lines.insert(7, line(f"{base}/none"))
    file = client.files.create(file=("f.jsonl", b"\n".join(json.dumps(x).encode() for x in lines)), purpose="fine-tune")
    epochs = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
    job = client.fine_tuning.jobs.create(model="potstill-auto", training_file=file.id, method=epochs)
    done = wait(client, job, "succeeded")
    assert "Skipped 1 image(s): line 8, image 0: inaccessible URL: status 404" in messages(client, job)
    report = json.loads(client.files.content(done.result_files[-1]).read())
    assert report == [{"image": 0, "line": 8, "reason": "inaccessible URL: status 404"}]
    asked.clear()
    (question,) = lines[0]["messages"][:1]
    answer = client.chat.completions.create(model=done.fine_tuned_model, messages=[question])
    assert answer.choices[0].message.content in {"red", "blue", "green"} and asked == ["/0.png"]
    with pytest.raises(openai.BadRequestError, match="status 404") as caught:
        client.chat.completions.create(model=done.fine_tuned_model, messages=line(f"{base}/none")["messages"][:1])
    assert caught.value.code == "invalid_image_url"
