"""The documents: references are up to date, links lead somewhere, and the marked examples run."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.media import beeps, file_of, pictures, wav_of
from tests.toys import sentences

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"])
RUNNABLE = re.compile(r"<!-- run -->\n```(sh|python)\n(.*?)```", re.DOTALL)


def test_the_reference_is_that_of_the_code():
    spec = importlib.util.spec_from_file_location("build_reference", ROOT / "docs" / "build_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, content in module.pages().items():
        written = (ROOT / "docs" / "reference" / name).read_text("utf-8")
        assert written == content, f"run `python docs/build_reference.py`: {name} is behind the code"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


# The Korean pages hold the same commands as the English ones; the others train for minutes (`.ci/run` runs the first).
SLOW = ("your-csv.md", "pictures.md", "voice.md", "keep-devices-up-to-date.md")
EXAMPLES = [
    pytest.param(page, marks=pytest.mark.slow if ".ko" in page.name or page.name in SLOW else ())
    for page in PAGES
    if RUNNABLE.search(page.read_text("utf-8"))
]


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: page.name)
def test_marked_examples_run(page, tmp_path):
    write_rows(tmp_path)
    scripts = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "POTSTILL_STORE": str(tmp_path / "store"),
        "OMP_NUM_THREADS": "1",
    }
    for kind, code in RUNNABLE.findall(page.read_text("utf-8")):
        # The examples are run as they stand, on few rows.
        command = [sys.executable, "-c", code] if kind == "python" else ["bash", "-ec", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{code}\n{done.stderr[-2000:]}"


def write_rows(folder):
    def write(name, rows, labelled=True):
        lines = ["text,label" if labelled else "text", *(f"{t},{label}" if labelled else t for t, label in rows)]
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")

    write("train.csv", sentences(240))
    write("test.csv", sentences(80, seed=1))
    write("more.csv", sentences(300, seed=2), labelled=False)
    for i, (array, label) in enumerate(pictures(90)):
        (folder / "pictures" / label).mkdir(parents=True, exist_ok=True)
        (folder / "pictures" / label / f"{i // 3}.png").write_bytes(file_of(array))
    (folder / "sounds").mkdir()
    lines = ["audio,label,speaker"]
    for i, (samples, label, speaker) in enumerate(beeps(90)):
        (folder / "sounds" / f"{i}.wav").write_bytes(wav_of(samples))
        lines.append(f"sounds/{i}.wav,{label},{speaker}")
    (folder / "sounds.csv").write_text("\n".join(lines) + "\n", "utf-8")
