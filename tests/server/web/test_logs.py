"""The table of stored completions, its filter and its pages."""

import re

import pytest

from tests.report.content import HOSTILE
from tests.server.web.browsing import Browsing
from tests.server.web.pages import PIXEL
from tests.server.web.storing import store

NUM = 60


@pytest.fixture
def stored(server):
    """Sixty rows, every third about red; the last one is hostile and has pictures."""
    for i in range(NUM):
        text = f"a {'red' if i % 3 == 0 else 'dull'} thing number {i:02d}"
        store(server, text, {"task": f"t{i % 2}"})
    parts = [{"type": "text", "text": " ".join(HOSTILE[:2])}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in (PIXEL, "http://evil.example/?q=secret")]
    messages = [{"role": "system", "content": HOSTILE[2]}, {"role": "user", "content": parts}]
    store(server, messages, {"task": HOSTILE[0]})
    return server


@pytest.fixture
def browser(stored):
    with Browsing(stored) as found:
        found.sign_in(stored.api_key)
        yield found


def numbers(page):
    return re.findall(r"thing number (\d\d)", page.text)


def link(page, rel):
    found = re.search(f'<a href="([^"]*)" class="button" rel="{rel}"', page.text)
    return found and found[1].replace("&amp;", "&")


def test_pages_go_down_and_up_again_without_a_gap(browser):
    first = browser.get("/logs")
    assert HOSTILE[0] not in first.text and link(first, "prev") is None
    pages, shown = [first], numbers(first)
    while link(pages[-1], "next"):
        pages.append(browser.get(link(pages[-1], "next")))
        shown += numbers(pages[-1])
    assert shown == [f"{i:02d}" for i in reversed(range(NUM))] and len(pages) == 3
    back = browser.get(link(pages[-1], "prev"))
    assert numbers(back) == numbers(pages[1])
    assert numbers(browser.get(link(back, "prev"))) == numbers(first)
    assert link(browser.last, "prev") is None


def test_filters_limit_and_stay_in_the_links(browser):
    assert len(numbers(browser.get("/logs?metadata=task%3Dt1&text=red"))) == 10
    assert "/distil?metadata=task%3Dt1&amp;text=red" in browser.last.text
    assert "/evals/new?metadata=task%3Dt1&amp;text=red" in browser.last.text
    narrowed = browser.get("/logs?model=big&metadata=task%3Dt0")
    assert len(numbers(narrowed)) == 25 and "metadata=task%3Dt0&older=" in link(narrowed, "next")
    assert len(numbers(browser.get("/logs?after=2000-01-01&before=2999-01-01"))) == 24
    for query in ("model=none", "after=2999-01-01", "before=2000-01-01", "metadata=task%3D", "text=%F0%9F%90%99"):
        assert "No row passes" in browser.get("/logs?" + query).text
    for query in ("metadata=task", "after=yesterday", "before=2026-02-30"):
        assert 'role="alert"' in browser.get("/logs?" + query).text
    assert browser.get("/logs?older=chatcmpl-unknown").status_code == 404


def test_a_row_shows_all_and_loads_nothing(browser):
    href = re.search(r'href="(/logs/chatcmpl-[^"]*)"', browser.get("/logs").text)[1]
    page = browser.get(href)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text and "[U+202E]" in page.text
    assert "A picture on evil.example" in page.text and "http://evil.example" not in page.text
    assert page.text.count("<img") == 2 and PIXEL in page.text
    assert "1,024" in page.text and "1,200" in page.text
    assert browser.post(href + "/delete").status_code == 303
    assert browser.get(href).status_code == 404


def test_rows_that_nobody_asked_for_here_cost_nothing(browser):
    assert "Nothing was asked in this time." in browser.get("/keys").text


def test_another_project_sees_no_row(stored, browser):
    href = re.search(r'href="(/logs/chatcmpl-[^"]*)"', browser.get("/logs").text)[1]
    with Browsing(stored, "ko") as other:
        other.sign_in(stored.new_key("other"))
        assert "아직 저장된 완성이 없습니다" in other.get("/logs").text
        assert other.get(href).status_code == 404
        assert other.get("/logs?older=" + href.rpartition("/")[2]).status_code == 404
        other.get("/logs")
        assert other.post(href + "/delete").status_code == 404
    assert browser.get(href).status_code == 200
