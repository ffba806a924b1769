"""Tasks for students that write, as rows of prompts and answers from public data sets."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

NUM_GOLD, NUM_DEV, NUM_POOL = 500, 50, 1000
NUMBER = r"\d[\d,]*(?:\.\d+)?|\.\d+"
BLANK = "___"
LONGEST = 200
# A calculation as it is spelled before its result, with all that may stand in it.
SPELLED = re.compile(r"(?:(?<=\s)|^)[$(]*(?:\d|\.\d)[\d.,$%()\s+\-*/xX×÷−–]*=\s*\$?\s*$")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task.

    Attributes:
        source: its folder among the data sets.
        parts: folder and seed -> `train`, `pool` and `test`, each a list of (prompt, answer).
        leakage: what becomes of training rows that stand in test too.
        max_new_tokens: longest answer.
        result: name of the file of its figures.
    """

    source: str
    parts: Callable
    leakage: str
    max_new_tokens: int
    result: str


def banking(source: Path, seed: int):
    """CLINC150's banking domain: a request, and its intent in words. Labels are spread evenly over intents."""
    splits = json.loads((source / "data_full.json").read_bytes())
    intents = set(json.loads((source / "domains.json").read_bytes())["banking"])
    rows = {name: [row for row in splits[name] if row[1] in intents] for name in ("train", "val", "test")}
    order = random.Random(seed)
    order.shuffle(rows["train"])
    order.shuffle(rows["val"])
    by_intent: dict[str, int] = {}
    ranked = []
    for text, intent in rows["train"]:
        by_intent[intent] = by_intent.get(intent, 0) + 1
        ranked.append((by_intent[intent], text, intent))
    ranked.sort(key=lambda row: row[0])
    train = [(text, intent.replace("_", " ")) for _, text, intent in ranked]
    said = {name: [(text, intent.replace("_", " ")) for text, intent in rows[name]] for name in ("val", "test")}
    return {
        "train": train[:NUM_GOLD] + said["val"][:NUM_DEV],
        "pool": train[NUM_GOLD : NUM_GOLD + NUM_POOL],
        "test": said["test"],
    }


def calculation(source: Path, seed: int):
    """GSM8K: a sentence of a worked solution whose calculation is left blank, and that calculation."""
    rows = calculations(source / "train.jsonl")
    random.Random(seed).shuffle(rows)
    labelled = NUM_GOLD + NUM_DEV
    return {
        "train": rows[:labelled],
        "pool": rows[labelled : labelled + NUM_POOL],
        "test": calculations(source / "test.jsonl"),
    }


def calculations(path: Path):
    """(Sentence, calculation) from the worked solutions of a file, each sentence once.

    The people who wrote the solutions marked every calculation (`<<48/2=24>>`). Taken are sentences of at most 200
    characters with one mark, in which all numbers of the calculation stand elsewhere too, so that a reader can find it:
    'Natalia has 4 boxes of 6 clips, so she has ___ clips.' The blank stands for the calculation as it was spelled and
    for its result. The answer is what stands left of the equals sign, numbers in their shortest form; terms of a plain
    sum and factors of a plain product stand in the order of the sentence, since the marks have them in any.
    """
    found: dict[str, str] = {}
    for line in path.read_text("utf-8").splitlines():
        for sentence in json.loads(line)["answer"].split("\n"):
            row = _blanked(sentence)
            if row is not None:
                found.setdefault(*row)
    return sorted(found.items())


def _blanked(sentence: str) -> tuple[str, str] | None:
    marks = list(re.finditer(r"<<([^<>]*)>>", sentence))
    if len(marks) != 1 or marks[0].group(1).count("=") != 1:
        return None
    left = marks[0].group(1).split("=")[0].replace(" ", "")
    spelled = SPELLED.search(sentence[: marks[0].start()])
    if not spelled or not re.fullmatch(r"[\d.(][-+*/().\d]*[-+*/][-+*/().\d]*", left):
        return None
    before = sentence[: spelled.start()].rstrip()
    after = re.sub(rf"^\s*\$?-?(?:{NUMBER})", "", sentence[marks[0].end() :]).lstrip(" =")
    # What is left of a longer calculation would give half of the answer away.
    if before.endswith(tuple("=+-*/x×÷")) or after.startswith(tuple("+-*/x×÷=")):
        return None
    prompt = " ".join([before, BLANK, after]).strip()
    numbers, operands = numbers_of(prompt), numbers_of(left)
    if len(prompt) > LONGEST or Counter(operands) - Counter(numbers):
        return None
    signs = set(re.sub(NUMBER, "", left))
    if len(signs) == 1 and signs <= {"+", "*"}:
        return prompt, signs.pop().join(_in_order(operands, numbers))
    return prompt, re.sub(NUMBER, lambda found: plain(found.group()), left)


def _in_order(operands: list[str], numbers: list[str]) -> list[str]:
    """Operands as they come in a sentence with these numbers; where one comes oftener than it counts, its first."""
    left = Counter(operands)
    ordered = []
    for number in numbers:
        if left[number]:
            left[number] -= 1
            ordered.append(number)
    return ordered


def numbers_of(text: str) -> list[str]:
    """All numbers in their shortest form, in order."""
    return [plain(number) for number in re.findall(NUMBER, text)]


def plain(number: str) -> str:
    """Without commas and idle zeros."""
    return format(Decimal(number.replace(",", "")).normalize(), "f")


TASKS = {
    # The data set's own splits are kept whole: near duplicates across them are part of the published task.
    "banking": Task(source="clinc150", parts=banking, leakage="keep", max_new_tokens=12, result="generative"),
    "calculation": Task(
        source="gsm8k", parts=calculation, leakage="remove", max_new_tokens=24, result="generative_calculation"
    ),
}
