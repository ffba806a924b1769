"""A teacher behind OpenAI's API that answers, or misbehaves when its message says so."""

import asyncio
import json
import threading
from contextlib import contextmanager

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, Router

SECRET = "sk-teacher-0123456789abcdef"
USAGE = {"prompt_tokens": 1200, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1024}}


def answer(content, **message):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content, **message}}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "big-2026",
        "choices": [choice],
        "usage": USAGE,
    }


def chunk(delta, finish=None, **more):
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "big-2026", "choices": choices, **more}


class Teacher:
    def __init__(self):
        self.bodies, self.headers = [], []
        self.url = ""

    async def complete(self, request: Request):
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else content[0]["text"]
        word, _, rest = text.partition(" ")
        if word == "status":
            error = {"message": f"no, {SECRET} says {rest}", "type": "t", "param": "p", "code": "c"}
            return JSONResponse({"error": error}, int(rest), {"retry-after": "7"})
        if word == "html":
            return Response("<html>", media_type="text/html")
        if word == "odd":
            return JSONResponse({"choices": [{"index": "one"}]})
        if word == "slow":
            await asyncio.sleep(30)
        if word == "hangup":
            return StreamingResponse(self._cut(), headers={"content-length": "1000"})
        if body.get("stream"):
            return StreamingResponse(self._stream(word, body), media_type="text/event-stream")
        label = "red" if "red" in text else "blue"
        found = answer(json.dumps({"colour": label}) if body.get("response_format") else label)
        if body.get("logprobs"):
            found["choices"][0]["logprobs"] = {"content": [self._opinion(label)], "refusal": None}
        return JSONResponse(found)

    def _opinion(self, label):
        other = "blue" if label == "red" else "red"
        listed = [{"token": t, "logprob": p, "bytes": None} for t, p in ((label, -0.25), (other, -1.5))]
        return {**listed[0], "top_logprobs": listed}

    async def _cut(self):
        yield b'{"choices": ['
        raise RuntimeError("hangs up")

    async def _stream(self, word, body):
        parts = [chunk({"role": "assistant", "content": ""}), chunk({"content": "안"}), chunk({"content": "녕"})]
        if word == "tools":
            call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
            more = {"index": 0, "function": {"arguments": '{"a":'}}
            last = {"index": 0, "function": {"arguments": "1}"}}
            parts = [chunk({"role": "assistant", "tool_calls": [call]})]
            parts += [chunk({"tool_calls": [part]}) for part in (more, last)]
        for number, part in enumerate(parts):
            raw = f"data: {json.dumps(part, ensure_ascii=False)}\r\n\r\n".encode()
            # Cut in the middle of a character, as networks do.
            for piece in (raw[:-9], raw[-9:]):
                yield piece
                await asyncio.sleep(0)
            if word == "dies" and number == 1:
                return
        yield f"data: {json.dumps(chunk({}, 'tool_calls' if word == 'tools' else 'stop'))}\n\n".encode()
        if (body.get("stream_options") or {}).get("include_usage"):
            yield f"data: {json.dumps({**chunk({}), 'choices': [], 'usage': USAGE})}\n\n".encode()
        yield b"data: [DONE]\n\n"


@contextmanager
def teaching(teacher=None):
    teacher = teacher or Teacher()
    app = Router([Route("/v1/chat/completions", teacher.complete, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    teacher.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    yield teacher
    server.force_exit = server.should_exit = True
    thread.join(10)
