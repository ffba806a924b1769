import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from potstill.cli.main import main

pytest.importorskip("starlette", reason="needs potstill[server]")


def start(data):
    command = [sys.executable, "-m", "potstill.cli", "serve", "--data", str(data), "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return process, json.loads(process.stdout.readline())


def status(url, key):
    request = urllib.request.Request(url + "/models", headers={"authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request) as answer:
        return answer.status


def test_ready_line_restart_and_goodbye(tmp_path):
    process, first = start(tmp_path)
    with process:
        assert first["base_url"].startswith("http://127.0.0.1:") and first["base_url"].endswith("/v1")
        assert status(first["base_url"], first["api_key"]) == 200
        second = subprocess.run(
            [sys.executable, "-m", "potstill.cli", "serve", "--data", str(tmp_path), "--port", "0"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 2 and "another server is at work" in second.stderr
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert json.loads(out.splitlines()[-1])["stopped"]
    assert first["api_key"] not in said
    again, found = start(tmp_path)
    with again:
        assert found["api_key"] != first["api_key"]
        assert status(found["base_url"], first["api_key"]) == 200
        again.kill()
        again.communicate(timeout=60)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "--open-to-network"),
        (["--teacher", "nobody"], "NAME=BASE_URL"),
        (["--host", "192.0.2.1", "--open-to-network"], "can't listen"),
    ],
)
def test_refusals(tmp_path, options, words, capsys):
    assert main(["serve", "--data", str(tmp_path), "--port", "0", *options]) == 2
    assert words in capsys.readouterr().err
