"""A real HTTP server that answers like a chat API, or misbehaves on purpose."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.toys import WORDS


def label_of(text):
    return next((label for label, words in WORDS.items() if any(word in text.split() for word in words)), "card")


def reply(label, *, model="big", field="label", finish="stop", logprobs=None, **message):
    content = json.dumps({field: label})
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    if logprobs is not None:
        choice["logprobs"] = {"content": logprobs}
    usage = {"prompt_tokens": 50, "completion_tokens": 5}
    return {"id": "x", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}


class Server:
    """Runs while it is a context; `behave(text, number)` gives (status, headers, body) or a name of a trouble."""

    def __init__(self, behave=None):
        self.behave = behave or (lambda text, number: (200, {}, reply(label_of(text))))
        self.asked, self.keys = [], []
        self._lock = threading.Lock()

    def __enter__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                text = body["messages"][-1]["content"]
                with outer._lock:
                    number = outer.asked.count(text)
                    outer.asked.append(text)
                    outer.keys.append(self.headers.get("authorization"))
                found = outer.behave(text, number)
                if found == "cut":
                    self.send_response(200)
                    self.send_header("content-length", "1000")
                    self.end_headers()
                    self.wfile.write(b'{"choices": [')
                    self.close_connection = True
                    return
                status, headers, content = found
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                try:
                    self.wfile.write(raw)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
