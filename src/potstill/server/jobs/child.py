"""The process of one job: `python -m potstill.server.jobs.child FOLDER`. It talks on stdout, a JSON object a line."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError, PreemptedError
from potstill.server.compiling import NotClosedError
from potstill.server.jobs.telling import Say
from potstill.server.jobs.work import work
from potstill.server.training_files import TrainingFileError


def main(folder: Path, say: Say) -> int:
    """Does the job; returns the exit code."""
    order = json.loads((folder / "job.json").read_bytes())
    try:
        work(order, folder, say)
    except PreemptedError as error:
        return error.exit_code
    except TrainingFileError as error:
        prefix = "" if error.code == "invalid_n_examples" else "The job failed due to an invalid training file. "
        _failed(say, error.code, prefix + str(error), "training_file")
    except NotClosedError as error:
        _failed(say, "answers_not_closed", f"{error} Use potstill-auto or potstill-smollm2.", "training_file")
    except PotstillError as error:
        _failed(say, "invalid_training_file", f"The job failed. {error}", "training_file")
    return 0


def _failed(say: Say, code: str, message: str, param: str | None) -> None:
    say({"kind": "failed", "error": {"code": code, "message": message, "param": param}})


def _print(value: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(value).encode() + b"\n")
    sys.stdout.buffer.flush()


def _die_with_parent() -> None:
    """The server holds the other end of our stdin: when it is gone, so are we."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_die_with_parent, daemon=True).start()
    sys.exit(main(Path(sys.argv[1]), _print))
