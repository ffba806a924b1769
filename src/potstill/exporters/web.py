"""A page that runs a bundle in the browser: a folder to be served, or one file that opens by a double click."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files as resources
from typing import Any

from potstill.errors import ConfigurationError
from potstill.exporters.ort_web import SCRIPT, WASM

# In an order in which each needs only those before it.
LIBRARY = ("hashed_ngrams.mjs", "pictures.mjs", "sounds.mjs", "unicode.mjs", "tokenizer.mjs", "student.mjs")
MODULES = (*LIBRARY, "page.mjs")
NORMALIZERS = {"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Replace", "Sequence", "Strip"}
IMPORT = re.compile(r'^import \{[^}]*\} from "\./[a-z_]+\.mjs";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?function |class |const )", re.MULTILINE)


def script_files(names: tuple[str, ...] = MODULES) -> dict[str, bytes]:
    """The JavaScript modules that tokenize, resize, listen and predict; Node and browsers run the same."""
    folder = resources("potstill.exporters") / "browser"
    return {name: (folder / name).read_bytes() for name in names}


def web_files(
    bundle: Mapping[str, bytes], runtime: Mapping[str, bytes], *, title: str, language: str
) -> dict[str, bytes]:
    """Files of a folder that any static server can serve, `index.html` first.

    Raises:
        ConfigurationError: a tokenizer that the page's own doesn't know.
    """
    check_tokenizer(bundle)
    page = _page(bundle, title, language, files="", script="", source=' src="page.mjs"')
    return {"index.html": page, **script_files(), **runtime, **bundle}


def single_page(bundle: Mapping[str, bytes], runtime: Mapping[str, bytes], *, title: str, language: str) -> bytes:
    """The same as one HTML file of some 20 MB that needs neither a server nor a network.

    Raises:
        ConfigurationError: a tokenizer that the page's own doesn't know.
    """
    check_tokenizer(bundle)
    inside = "\n".join(
        f'<script type="application/octet-stream" id="file:{html.escape(name)}">{base64.b64encode(content).decode()}'
        "</script>"
        for name, content in {**bundle, **runtime}.items()
    )
    joined = "\n".join(EXPORT.sub("", IMPORT.sub("", content.decode())) for content in script_files().values())
    return _page(bundle, title, language, files=inside, script=joined.replace("</script", "<\\/script"), source="")


def check_tokenizer(bundle: Mapping[str, bytes]) -> None:
    """Refuses what the JavaScript tokenizer doesn't cut as `tokenizers` does.

    Raises:
        ConfigurationError: such a tokenizer.
    """
    if "tokenizer.json" not in bundle:
        return
    content = json.loads(bundle["tokenizer.json"])
    kinds = [content["model"].get("type", "WordPiece")]
    normalizer = content.get("normalizer") or {}
    used = [entry["type"] for entry in (normalizer, *normalizer.get("normalizers", ())) if entry]
    if kinds[0] not in ("WordPiece", "WordLevel") or not set(used) <= NORMALIZERS:
        raise ConfigurationError(
            f"the page's tokenizer knows WordPiece and characters; this student's is {kinds[0]} with {used}. Distil a "
            "student of kind cnn, static or encoder for a page."
        )


def _page(bundle: Mapping[str, bytes], title: str, language: str, *, files: str, script: str, source: str) -> bytes:
    settings: dict[str, Any] = {"ort": f"./{SCRIPT}" if source else SCRIPT, "wasm": WASM, "folds": {}}
    if json.loads(bundle["manifest.json"])["preprocess"]["kind"] == "hashed_ngrams":
        settings["folds"] = case_folds()
    template = (resources("potstill.exporters") / "browser" / "page.html").read_text("utf-8")
    values = {
        "language": language,
        "title": html.escape(title),
        "settings": json.dumps(settings, ensure_ascii=False).replace("<", "\\u003c"),
        "files": files,
        "source": source,
        "script": script,
    }
    # Not str.format: the template holds CSS and the script its own braces.
    return re.sub(r"\{(language|title|settings|files|source|script)\}", lambda m: values[m[1]], template).encode()


def case_folds() -> dict[str, str]:
    """Character -> its case folding, where that isn't its lower case."""
    characters = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    return {c: c.casefold() for c in characters if c.casefold() != c.lower()}
