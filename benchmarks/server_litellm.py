"""LiteLLM's proxy in an environment of its own, in front of the same teacher."""

import json
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path


class Litellm:
    """Its proxy as its documentation starts it, with one worker and without a database."""

    KEY = "sk-bench"

    def __init__(self, python, teacher_port):
        self.python, self.teacher_port = Path(python), teacher_port

    def __enter__(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder = tempfile.TemporaryDirectory()
        config = Path(self.folder.name) / "config.yaml"
        where = {"model": "openai/big", "api_base": f"http://127.0.0.1:{self.teacher_port}/v1", "api_key": "none"}
        models = [{"model_name": "big", "litellm_params": where}]
        config.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": self.KEY}}))
        command = [self.python.parent / "litellm", "--config", config, "--port", str(self.port), "--host", "127.0.0.1"]
        environment = {"PATH": f"{self.python.parent}:/usr/bin:/bin", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        environment |= {"LITELLM_LOG": "ERROR", "HOME": self.folder.name}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder.name
        )
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/liveliness").close()
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, "LiteLLM's proxy didn't start"
                time.sleep(0.2)
            else:
                return self
        raise TimeoutError("LiteLLM's proxy isn't ready")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.folder.cleanup()
