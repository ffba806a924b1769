"""Every page of the dashboard with made-up content, hostile where content comes from outside."""

from potstill.server.web.layout import Viewer
from potstill.server.web.views.completion import Completion, completion_page
from potstill.server.web.views.door import problem_page, sign_in_page
from potstill.server.web.views.logs import LogFilter, LogList, LogRow, logs_page
from tests.report.content import HOSTILE

PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def viewer_in(words):
    return Viewer(words=words, csrf="token", address="/logs?text=%3Cb%3E", project="default", is_admin=True)


def log_list(texts, **more):
    rows = [
        LogRow(
            id=f"chatcmpl-{i}",
            created_at=1_790_000_000 + 61 * i,
            model=text[:40],
            prompt=text,
            answer=texts[-1 - i],
            tokens=1000 + i,
            metadata={"task": text[:20]},
        )
        for i, text in enumerate(texts)
    ]
    return LogList(filter=LogFilter(text=texts[0]), rows=rows, models=texts, older="7", newer="9", **more)


def completion(texts):
    pictures = [
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "image_url", "image_url": {"url": "https://evil.example/q.png?secret=1"}},
        {"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,PHN2Zz48L3N2Zz4="}},
        {"type": "image_url", "image_url": {"url": "https://[evil"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    calls = [{"id": "1", "type": "function", "function": {"name": texts[0], "arguments": texts[-1]}}]
    return Completion(
        id="chatcmpl-1",
        created_at=1_790_000_000,
        model=texts[0],
        teacher=texts[1],
        messages=[
            *({"role": "user", "content": text} for text in texts),
            {"role": "user", "content": [{"type": "text", "text": texts[0]}, *pictures]},
            {"role": "assistant", "content": None, "tool_calls": calls, "refusal": texts[0]},
        ],
        request={"tools": [{"name": texts[0]}], "response_format": {"type": texts[0]}, "stop": texts[-1]},
        usage={"prompt_tokens": 1000, "completion_tokens": 7},
        metadata={"task": texts[0]},
    )


def all_pages(words, texts=HOSTILE):
    """By name."""
    viewer = viewer_in(words)
    return {
        "sign_in": sign_in_page(Viewer(words=words), refused=True, back="/logs?text=<b>"),
        "problem": problem_page(viewer, 404, texts[0]),
        "logs": logs_page(viewer, log_list(texts, refused=texts[1])),
        "logs_none": logs_page(viewer, LogList(filter=LogFilter(model=texts[0]), rows=())),
        "logs_empty": logs_page(viewer, LogList(filter=LogFilter(), rows=(), address="http://127.0.0.1:8080/v1")),
        "completion": completion_page(viewer, completion(texts)),
    }
