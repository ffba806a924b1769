"""Rows as if a teacher had answered, without asking one."""

import json

from potstill.server.completions import encode_request, rows_of
from potstill.server.ids import SEQ_PER_S, new_id, next_seq
from tests.server.teacher import USAGE


def store(server, asked, metadata, *, said="", **request):
    """Keeps one completion of the model `big`; it says red where that word stands in the question, else blue."""
    messages = asked if isinstance(asked, list) else [{"role": "user", "content": asked}]
    label = "red" if "red" in json.dumps(messages[-1]) else "blue"
    said = said or (json.dumps({"colour": label}) if "response_format" in request else label)
    seq = next_seq()
    response = {
        "id": new_id("chatcmpl-", seq),
        "object": "chat.completion",
        "created": seq // SEQ_PER_S,
        "model": "big",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}],
        "usage": {**USAGE, "total_tokens": 1203},
        "metadata": metadata,
    }
    body = {"model": "big", "messages": messages, **request}
    key = server.services.keyring.check(server.api_key)
    rows = rows_of(key, seq, response, body, asked=encode_request(body), teacher="big")

    def insert(connection):
        for table, found in rows.items():
            if found:
                connection.execute(table.insert(), found)

    server.services.database.write_now(insert)
