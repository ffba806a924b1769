import asyncio
import re

import pytest

from potstill.server.auth import Key
from potstill.server.database import open_database
from potstill.server.prices import read_prices
from potstill.server.settings import TeacherSettings
from potstill.server.usage import Amount, Usage, read_usage, today
from tests.server.evals.test_evals import CONFIG, completions, run
from tests.server.running import running
from tests.server.web.browsing import Browsing

KEY = Key(id="key_1", project="p", name="mine", may_store=True)


def ask(client, model, text="red one", **more):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)


def test_figures_are_added_up_and_survive_a_server(tmp_path, teacher):
    teachers = (TeacherSettings(name="big", base_url=teacher.url), TeacherSettings(name="free", base_url=teacher.url))
    prices = read_prices(["big=10,20"])
    with running(tmp_path / "data", teachers=teachers, prices=prices) as server, server.client() as client:
        ask(client, "big")
        ask(client, "big", store=True)
        for _ in ask(client, "big", stream=True):
            pass
        ask(client, "free")
        other = server.new_key("other")
        with server.client(other) as stranger:
            ask(stranger, "big")
    with running(tmp_path / "data", teachers=teachers, prices=prices) as server, Browsing(server) as browser:
        browser.sign_in(server.api_key)
        page = browser.get("/keys").text
        # Three calls of 1,200 tokens read and 3 written; the fourth has no price.
        assert _tile(page, "Calls") == "4" and _tile(page, "Spent") == f"{3 * (1200 * 10 + 3 * 20) / 1e6:,.4f}"
        assert _row(page, "big")[2:] == ["3", "3,600", "9", "0.0362"]
        assert _row(page, "free")[2:] == ["1", "1,200", "3", "-"]
        assert "Saved" not in page and "Cascade, locally" not in page and "<svg" in page
        assert _tile(browser.get("/keys?days=0").text, "Calls") == "4"
        assert _tile(browser.get("/keys?days=none").text, "Calls") == "4"


def test_work_that_nobody_waits_for_is_in_the_figures(tmp_path, teacher):
    teachers = (TeacherSettings(name="big", base_url=teacher.url),)
    judge = {
        "type": "label_model",
        "name": "judge",
        "model": "big",
        "input": [{"role": "user", "content": "{{ item.text }}"}],
        "labels": ["red", "blue"],
        "passing_labels": ["red"],
    }
    with running(tmp_path / "data", teachers=teachers) as server, Browsing(server) as browser:
        with server.client() as client:
            made = client.evals.create(data_source_config=CONFIG, testing_criteria=[judge])
            run(client, made, completions())
            grader = {**judge, "type": "score_model", "range": [0, 1]}
            client.fine_tuning.alpha.graders.run(grader=grader, item={"text": "red"}, model_sample="red")
        browser.sign_in(server.api_key)
        page = browser.get("/keys").text
        # Ten rows, each answered and judged, and one sample tried with a key.
        assert _row(page, "big")[2] == "21"
        calls = re.search(r"<th[^>]*>Evals</th><td.*?>(\d+)<", page).group(1)
        assert calls == "20"


def _tile(page, name):
    return re.search(f"<dt>{name}</dt><dd>([^<]*)", page).group(1)


def _row(page, model):
    row = re.search(f"<tr[^>]*><th[^>]*><code>{model}</code>.*?</tr>", page).group()
    return [re.sub("<[^>]*>", "", cell) for cell in re.findall("<td.*?</td>", row)]


@pytest.fixture
def database(tmp_path, database_url):
    found = open_database(tmp_path, database_url)
    yield found
    found.close()


def test_what_can_t_be_written_is_counted_later(database):
    usage = Usage(database)
    usage.add(KEY, "m", "big", 5, 1)
    write, database.write = database.write, _fails
    with pytest.raises(OSError, match="full"):
        asyncio.run(usage.flush())
    usage.add(KEY, "m", "big", 5, 1)
    database.write = write

    async def twice():
        await usage.flush()
        usage.add(KEY, "m", "big", 1, 0)
        await usage.flush()
        await usage.flush()

    asyncio.run(twice())
    ((place, amount),) = database.read_now(lambda c: read_usage(c, "p", today())).items()
    assert amount == Amount(3, 11, 2) and (place.key, place.model, place.answerer) == ("key_1", "m", "big")
    assert database.read_now(lambda c: read_usage(c, "p", today() + 1)) == {}
    assert database.read_now(lambda c: read_usage(c, "q", 0)) == {}


async def _fails(_):
    raise OSError("the disk is full")
