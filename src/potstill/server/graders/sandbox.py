"""Runs a grader's Python code in a process of few rights: no network where the system lets it, little of everything."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from potstill.server.graders.grading import GraderError

LONGEST_SOURCE = 256 * 1024
TIMEOUT_S = 120
# Runs in the child, before the grader's code: limits first, then a network namespace of its own, then no rights.
BOOTSTRAP = """
import ctypes, json, os, resource, sys
# What a grader may want, while the library can still be read: a user without rights may not.
import collections, datetime, difflib, functools, itertools, math, random, re, statistics, string, unicodedata
asked = json.loads(sys.stdin.buffer.read())
limits = {"CPU": asked["cpu_s"], "AS": 2 << 30, "FSIZE": 1 << 20, "NOFILE": 64, "CORE": 0, "NPROC": 64}
for name, most in limits.items():
    resource.setrlimit(getattr(resource, "RLIMIT_" + name), (most, most))
libc = ctypes.CDLL(None, use_errno=True)
new_user, new_net = 0x10000000, 0x40000000
as_root = os.getuid() == 0
libc.unshare(new_net if as_root else new_user | new_net)
if as_root:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
libc.prctl(38, 1, 0, 0, 0)
out = os.fdopen(os.dup(1), "w")
sys.stdout = sys.stderr
space = {"__name__": "grader"}
exec(compile(asked["source"], "grader.py", "exec"), space)
score = space["grade"](asked["sample"], asked["item"])
out.write(json.dumps({"score": score}))
out.flush()
"""


async def run_grader(source: str, sample: Any, item: Any, *, timeout_s: float = TIMEOUT_S) -> float:
    """What `grade(sample, item)` of that source returns.

    Raises:
        GraderError: it fails, takes too long, or returns no number.
    """
    asked = {"source": source, "sample": sample, "item": item, "cpu_s": int(timeout_s) + 1}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", "-c", BOOTSTRAP),
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, errors = await asyncio.wait_for(process.communicate(json.dumps(asked).encode()), timeout_s)
        except TimeoutError:
            raise GraderError(
                f"grade() took longer than {timeout_s:g} s, and was stopped", "python_grader_runtime_error"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode:
        last = errors.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise GraderError(f"grade() failed: {last[0][:300]}", "python_grader_runtime_error")
    return _score(out)


def _score(out: bytes) -> float:
    try:
        score = json.loads(out)["score"]
    except (ValueError, KeyError, TypeError) as error:
        raise GraderError(f"grade() returned no number: {out[:100]!r}", "python_grader_runtime_error") from error
    if isinstance(score, bool) or not isinstance(score, int | float) or not -1e308 < score < 1e308:
        raise GraderError(f"grade() returned {score!r}, which is no number", "python_grader_runtime_error")
    return float(score)
