import dataclasses
import re
import string
from html.parser import HTMLParser

import numpy as np
import pytest

from potstill.errors import ConfigurationError, IntegrityError
from potstill.report import load_content, sentence, write_report
from potstill.report.page import NUM_SOUNDS
from potstill.report.words import LANGUAGES, Words, ends_on_consonant
from potstill.runtime.media import png
from potstill.types import Finding
from tests.report.content import HOSTILE, make_content

VOID = {"meta", "img", "path", "rect", "br"}


class Checker(HTMLParser):
    """Counts tags and keeps attributes; fails on tags that don't match."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page_of(folder, content, language="en"):
    write_report(folder, content, language=language)
    checker = Checker()
    checker.feed((folder / "report.html").read_text("utf-8"))
    assert checker.open == []
    return checker


@pytest.mark.parametrize("kind", ["single", "multi", "several"])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_kind_of_label_gives_a_whole_page(tmp_path, kind, language):
    checker = page_of(tmp_path, make_content(kind=kind), language)
    assert {"table", "svg", "details"} <= set(checker.tags)
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.html",
        "report.md",
        "report.json",
        "report_rows.npz",
        "model_card.md",
    }


def test_texts_from_data_stay_texts(tmp_path):
    checker = page_of(tmp_path, make_content(inputs=HOSTILE * 60))
    assert not {"script", "b", "iframe"} & set(checker.tags)
    assert not [name for name, _ in checker.attributes if name.startswith("on")]
    raw = (tmp_path / "report.html").read_text("utf-8")
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", raw)
    assert "[U+202E]" in raw and HOSTILE[0] in "".join(checker.text)
    written = (tmp_path / "report.md").read_text("utf-8") + (tmp_path / "model_card.md").read_text("utf-8")
    assert "<b>" not in written


def test_the_page_loads_nothing(tmp_path):
    checker = page_of(tmp_path, make_content())
    raw = (tmp_path / "report.html").read_text("utf-8")
    style = raw.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style
    addresses = [value for name, value in checker.attributes if name in ("src", "href", "xlink:href")]
    assert all(value.startswith(("data:image/png", "data:audio/wav")) for value in addresses)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
    assert ("content", policy) in checker.attributes


def test_every_plot_has_a_table_beside_it(tmp_path):
    write_report(tmp_path, make_content())
    raw = (tmp_path / "report.html").read_text("utf-8")
    figures = raw.split("<figure>")[1:]
    assert len(figures) == 5
    for following in figures:
        assert "<details><summary>The same as a table" in following.partition("<figure>")[0]


def test_a_large_run_stays_small(tmp_path):
    write_report(tmp_path, make_content(num_classes=77, num_rows=3080))
    assert (tmp_path / "report.html").stat().st_size < 700_000


def test_pictures_sounds_and_missing_measures(tmp_path):
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, (8, 8, 3)).astype(np.uint8) for _ in range(300)]
    content = make_content(inputs=pictures, teacher_latency=False)
    assert "img" in page_of(tmp_path, content).tags
    assert np.array_equal(load_content(tmp_path).test_inputs[3], pictures[3])
    sounds = [random.uniform(-1, 1, 16).astype(np.float32) for _ in range(300)]
    assert "audio" not in page_of(tmp_path, make_content(inputs=sounds)).tags
    heard = page_of(tmp_path, dataclasses.replace(make_content(inputs=sounds), sample_rate=8000))
    assert 0 < heard.tags.count("audio") <= 4 * NUM_SOUNDS


def test_rejection_of_what_is_out_of_scope_is_told(tmp_path):
    assert "Out of scope" in "".join(page_of(tmp_path, make_content(outside=40)).text)


def test_the_content_comes_back_and_reads_the_same_in_another_language(tmp_path):
    content = make_content(inputs=[f"row {i}" for i in range(300)])
    write_report(tmp_path, content)
    back = load_content(tmp_path)
    assert repr(back.passed_on) == repr(content.passed_on)
    for field in dataclasses.fields(content.assessment):
        one, other = getattr(content.assessment, field.name), getattr(back.assessment, field.name)
        if isinstance(one, dict):
            assert all(np.array_equal(one[name], other[name]) for name in one)
        elif isinstance(one, np.ndarray):
            assert np.array_equal(one, other)
        else:
            assert repr(one) == repr(other)
    english = (tmp_path / "report.html").read_bytes()
    write_report(tmp_path, back, language="ko")
    write_report(tmp_path, back, language="en")
    assert (tmp_path / "report.html").read_bytes() == english


def test_a_changed_report_is_refused(tmp_path):
    write_report(tmp_path, make_content())
    (tmp_path / "report_rows.npz").write_bytes(b"")
    with pytest.raises(IntegrityError, match="no report that can be read"):
        load_content(tmp_path)


def test_both_languages_say_the_same_things():
    def places(text):
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    english, korean = LANGUAGES["en"], LANGUAGES["ko"]
    assert english.keys() == korean.keys()
    for key in english:
        assert places(english[key]) == places(korean[key]), key


def test_no_english_sentence_remains_in_the_korean_page(tmp_path):
    text = " ".join(page_of(tmp_path, make_content(), "ko").text)
    english = [words for words in LANGUAGES["en"].values() if len(words.split()) > 3 and "{" not in words]
    assert len(english) > 15
    assert not [words for words in english if words in text]


def test_korean_particles_follow_the_sound():
    assert [ends_on_consonant(word) for word in ("교사", "학생", "data.csv", "model", "7", "2")] == [
        False,
        True,
        False,
        True,
        True,
        False,
    ]
    said = sentence(Finding("student_named", {"kind": "linear"}), "ko")
    assert "linear을" in said and "cnn을" in sentence(Finding("student_named", {"kind": "cnn"}), "ko")


def test_other_languages_are_refused():
    with pytest.raises(ConfigurationError, match="not in 'fr'"):
        Words("fr")


def test_png_is_read_by_others(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3)).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(png(pixels))
    with image.open(tmp_path / "a.png") as opened:
        assert np.array_equal(np.asarray(opened), pixels)


def test_a_page_that_runs_the_student_is_linked_where_it_is(tmp_path):
    content = make_content()
    assert "try.html" not in write_report(tmp_path, content)["html"].read_text("utf-8")
    (tmp_path / "try.html").write_text("")
    assert '<a href="try.html">' in write_report(tmp_path, content)["html"].read_text("utf-8")
