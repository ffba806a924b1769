import re
import string
from html.parser import HTMLParser

import pytest

from potstill.report.words import Words
from potstill.server.web.words import LANGUAGES, chosen_language, words_in
from tests.report.content import HOSTILE
from tests.server.web.pages import PIXEL, all_pages

VOID = {"meta", "img", "path", "rect", "br", "input", "link", "option-in-datalist"}
PLACES_OF_TEXT = ("alt", "aria-label", "placeholder", "title", "data-label", "data-confirm")
VALUES = r"evil\.example|input_audio|\d [kM]?B|ft:\d+|\d\.zip|default"
NAMES = list(all_pages(words_in("en")))


class Page(HTMLParser):
    """Elements with their attributes and texts; fails on tags that don't match."""

    def __init__(self, content):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and not (tag == "option" and self.open[-1] == "datalist"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def said(self):
        """Texts and what stands in attributes that are read aloud."""
        shown = [text for _, text in self.texts]
        return shown + [each[name] for _, each in self.elements for name in PLACES_OF_TEXT if name in each]


def places(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_say_the_same_things():
    english, korean = LANGUAGES["en"], LANGUAGES["ko"]
    assert english.keys() == korean.keys()
    for key in english:
        assert places(english[key]) == places(korean[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_from_outside_stays_text(name):
    raw = all_pages(words_in("en"))[name]
    page = Page(raw)
    assert not {"b", "iframe", "object", "style", "base"} & {tag for tag, _ in page.elements}
    assert [each for tag, each in page.elements if tag == "script"] == [{"src": "/static/page.js", "defer": None}]
    assert not [name for _, each in page.elements for name in each if name.startswith("on") or name == "style"]
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", raw)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_loaded_from_elsewhere(name):
    for tag, attributes in Page(all_pages(words_in("en"))[name]).elements:
        for key in ("src", "href", "action", "srcset", "data", "poster"):
            if key in attributes:
                own = attributes[key].startswith(("/", "#")) and not attributes[key].startswith("//")
                assert own or (tag == "img" and attributes[key] == PIXEL), attributes


@pytest.mark.parametrize("name", NAMES)
def test_every_sentence_is_translated(name):
    """In a language of brackets, every letter outside of them is a value or was forgotten."""
    marked = {key: "".join(_bracketed(sentence)) for key, sentence in LANGUAGES["en"].items()}
    words = Words("xx", {"xx": marked})
    page = Page(all_pages(words, texts=["11", "22", "33"])[name])
    allowed = {"Potstill", "English", "한국어", "task=intent", "task=11", "task=22", "task=33"}
    for text in page.said():
        outside = re.sub(f"⟦[^⟧]*⟧|{VALUES}", "", text).strip()
        assert outside in allowed or not re.search("[A-Za-z가-힣]", outside) or _is_value(page, text), text


def _bracketed(sentence):
    for literal, name, form, _ in string.Formatter().parse(sentence):
        if literal:
            yield f"⟦{literal}⟧"
        if name is not None:
            yield "{" + name + (f":{form}" if form else "") + "}"


def _is_value(page, text):
    return any(text == said and tag in ("code", "pre", "dt") for tag, said in page.texts)


@pytest.mark.parametrize("name", NAMES)
def test_what_one_fills_in_has_a_name_and_forms_their_token(name):
    page = Page(all_pages(words_in("en"))[name])
    labelled = {each["for"] for tag, each in page.elements if tag == "label" and "for" in each}
    for tag, each in page.elements:
        if tag in ("select", "textarea") or (tag == "input" and each["type"] not in ("hidden", "radio", "checkbox")):
            assert each["id"] in labelled
    free = {"/language", "/sign-in"}
    raw = all_pages(words_in("en"))[name]
    for opening, rest in re.findall(r"<form([^>]*)>(.*?)</form>", raw, re.S):
        if 'method="post"' in opening and not any(f'action="{path}"' in opening for path in free):
            assert 'name="csrf" value="token"' in rest


def test_the_answer_is_text_and_its_pictures_stay_away():
    page = Page(all_pages(words_in("en"))["completion"])
    said = " ".join(text for _, text in page.texts)
    assert HOSTILE[0] in said and "A picture on evil.example." in said
    assert [each["src"] for tag, each in page.elements if tag == "img"][1:] == [PIXEL]


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("", "en;q=0.3, ko;q=0.7", "ko"),
        ("", "ko;q=0, fr, en;q=nonsense", "en"),
        ("en", "ko", "en"),
        ("fr", "ko", "ko"),
    ],
)
def test_the_language_is_the_readers(cookie, accepted, language):
    assert chosen_language(cookie, accepted) == language
