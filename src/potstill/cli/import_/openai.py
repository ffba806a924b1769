"""`potstill import openai`: stored completions, evals and fine-tuning jobs of an account, before that door closes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from potstill.cli.import_.api import Api, add_server, open_api, server_of
from potstill.cli.import_.sending import said, send_lines
from potstill.cli.output import Result
from potstill.errors import DataError

SOURCE = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"
KINDS = ("completions", "evals", "jobs")
ITEMS_AT_ONCE = 100
ENDED_JOB, ENDED_RUN = ("succeeded", "failed", "cancelled"), ("completed", "failed", "canceled")
Json = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "--from",
        dest="source",
        default=SOURCE,
        metavar="BASE_URL",
        help=f"an OpenAI-compatible API; its key comes from {KEY}",
    )
    parser.add_argument("--only", choices=KINDS, action="append", default=[], help="this kind alone, several times")
    add_server(parser)


def main(args: argparse.Namespace) -> Result:
    """Copies what isn't here yet; an import that was cut off goes on where it was."""
    source, server = open_api(args.source, KEY), server_of(args)
    found: Json = {}
    kinds = args.only or KINDS
    if "completions" in kinds:
        found["completions"] = send_lines(server, _completions(source, server))
    if "evals" in kinds:
        found["evals"] = _evals(source, server)
    if "jobs" in kinds:
        found["jobs"] = _jobs(source, server)
    text = [said(value) if name == "completions" else f"{name}: {value}" for name, value in found.items()]
    return Result(found, "\n".join(text))


def _completions(source: Api, server: Api) -> Iterator[bytes]:
    """What isn't here yet, with its messages, which are a request of their own there."""
    for completion in source.pages("/chat/completions", order="asc"):
        if not server.has(f"/chat/completions/{completion['id']}"):
            path = f"/chat/completions/{completion['id']}/messages"
            messages = [_message(each) for each in source.pages(path, order="asc")]
            yield json.dumps({"messages": messages, "completion": completion}).encode()


def _message(shown: Json) -> Json:
    """A message as it was sent."""
    found = {name: value for name, value in shown.items() if name not in ("id", "content_parts") and value is not None}
    if shown.get("content_parts"):
        found["content"] = shown["content_parts"]
    return found


def _evals(source: Api, server: Api) -> Json:
    total: Json = {"evals_added": 0, "runs_added": 0, "items_added": 0, "left_out": []}
    for each in source.pages("/evals", order="asc"):
        eval_ = {name: each[name] for name in each if name != "object"}
        total["evals_added"] += _add(server, total, {"eval": eval_}).get("eval_added", False)
        for run in source.pages(f"/evals/{each['id']}/runs", order="asc"):
            if run["status"] not in ENDED_RUN:
                total["left_out"].append({"id": run["id"], "reason": f"it is {run['status']}"})
                continue
            found = _add(server, total, {"eval": eval_, "run": run})
            total["runs_added"] += found.get("run_added", False)
            items: list[Json] = []
            for item in source.pages(f"/evals/{each['id']}/runs/{run['id']}/output_items", order="asc"):
                items.append(item)
                if len(items) == ITEMS_AT_ONCE:
                    _add(server, total, {"eval": eval_, "run": run, "output_items": items})
                    items = []
            if items:
                _add(server, total, {"eval": eval_, "run": run, "output_items": items})
        sys.stderr.write(f"{each['id']}: {total['runs_added']} runs, {total['items_added']} rows so far\n")
    return total


def _add(server: Api, total: Json, value: Json) -> Json:
    try:
        found = server.post("/potstill/imports/evals", value)
    except DataError as error:
        total["left_out"].append({"id": (value.get("run") or value["eval"])["id"], "reason": str(error)})
        return {}
    total["items_added"] += found["items_added"]
    return found


def _jobs(source: Api, server: Api) -> Json:
    total: Json = {"jobs_added": 0, "models": [], "left_out": []}
    for job in source.pages("/fine_tuning/jobs"):
        if job["status"] not in ENDED_JOB:
            total["left_out"].append({"id": job["id"], "reason": f"it is {job['status']}"})
            continue
        # The newest come first; all of a second keep their order.
        events = list(source.pages(f"/fine_tuning/jobs/{job['id']}/events"))[::-1]
        text = None
        for name in job.get("result_files") or ():
            text = source.read(f"/files/{name}/content").decode("utf-8", "replace")
        try:
            found = server.post("/potstill/imports/jobs", {"job": job, "events": events, "results_csv": text})
        except DataError as error:
            total["left_out"].append({"id": job["id"], "reason": str(error)})
            continue
        total["jobs_added"] += found["added"]
        if job.get("fine_tuned_model"):
            total["models"].append(job["fine_tuned_model"])
        sys.stderr.write(f"{job['id']}: {'added' if found['added'] else 'known'}\n")
    return total
