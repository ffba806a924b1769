import pytest

from potstill.exporters.gguf import export_gguf
from potstill.server.settings import TeacherSettings
from potstill.students.causal import save_causal_lm
from tests.lm import tiny_model, tiny_tokenizer
from tests.server.running import running
from tests.server.strict import DOCUMENT, strict_client

pytest.importorskip("xllamacpp", reason="needs potstill[llama]")
pytest.importorskip("gguf", reason="needs potstill[lm]")

TOOLS_TEMPLATE = (
    "{% if tools %}<|im_start|>system\nTools:\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    '<tool_call>\n{"name": NAME, "arguments": ARGS}\n</tool_call><|im_end|>\n{% endif %}'
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "{% if message.tool_calls %}{% for call in message.tool_calls %}<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>'
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Two models of random weights that say everything with about the same chance; one has a place for tools."""
    folder = tmp_path_factory.mktemp("writers")
    tokenizer = tiny_tokenizer()
    for name, template in (("plain", tokenizer.chat_template), ("tools", TOOLS_TEMPLATE)):
        tokenizer.chat_template = template
        save_causal_lm(folder / name, tiny_model(tokenizer, layers=2, positions=4096), tokenizer)
        export_gguf(folder / name, folder / f"{name}.gguf", "f16")
    return folder


@pytest.fixture(scope="module")
def server(models, tmp_path_factory):
    """A server whose teachers write on this machine; no database test, so SQLite alone."""
    teachers = tuple(TeacherSettings(name=name, path=str(models / f"{name}.gguf")) for name in ("plain", "tools"))
    data = tmp_path_factory.mktemp("served") / "data"
    if not DOCUMENT.is_file():
        with running(data, teachers=teachers) as found:
            yield found
        return
    with strict_client() as http_client, running(data, http_client, teachers=teachers) as found:
        yield found


@pytest.fixture
def client(server):
    return server.client()
