"""`potstill import promptfoo`: a Promptfoo configuration as evals with their rows."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from potstill.cli.import_.api import Api, add_server, server_of
from potstill.cli.import_.reading import parse_json, read_text
from potstill.cli.output import Result
from potstill.errors import DataError, MissingExtraError

Json = dict[str, Any]
MARK = "promptfoo_sha256"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("file", type=Path, help="promptfooconfig.yaml, or the JSON of an export")
    parser.add_argument("--judge", default="", help="model of ours that judges what `llm-rubric` says")
    parser.add_argument("--run", action="append", default=[], metavar="MODEL", help="begin a run with this model")
    add_server(parser)


def main(args: argparse.Namespace) -> Result:
    """Makes one eval for each prompt and set of assertions; one that was made before is found again."""
    from potstill.server.importing.promptfoo import convert

    server = server_of(args)
    converted = convert(_read(args.file), judge=args.judge, folder=args.file.parent)
    known = {each["metadata"].get(MARK): each["id"] for each in server.pages("/evals", order="asc")}
    made = []
    for each in converted.evals:
        mark = hashlib.sha256(json.dumps(each.to_json(), sort_keys=True).encode()).hexdigest()
        id, is_new = known.get(mark), mark not in known
        if is_new:
            id = server.post("/evals", {**each.eval, "metadata": {MARK: mark}})["id"]
        runs = [_run(server, str(id), each.data_source, model) for model in args.run]
        made.append({"eval_id": id, "added": is_new, "num_rows": len(each.rows), "runs": runs})
    found = {"evals": made, "left_out": converted.left_out}
    lines = [f"{each['eval_id']}: {each['num_rows']} rows{'' if each['added'] else ', known already'}" for each in made]
    return Result(found, "\n".join([*lines, *(f"left out: {reason}" for reason in converted.left_out)]))


def _run(server: Api, id: str, source: Json, model: str) -> str:
    run = server.post(f"/evals/{id}/runs", {"name": model, "data_source": {**source, "model": model}})
    return str(run["id"])


def _read(path: Path) -> Any:
    text = read_text(path)
    if path.suffix == ".json":
        return parse_json(text, path)
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("yaml", "train") from error
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} is no YAML: {str(error)[:300]}") from error
