"""/v1/fine_tuning/alpha/graders: a grader tried on one sample before a job or an eval relies on it."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from typing import Any, get_args

import msgspec

from potstill.server.answerers import Json
from potstill.server.chat import complete_counted, complete_usage
from potstill.server.endpoint import Call, Endpoint, Policy
from potstill.server.errors import invalid
from potstill.server.evals.sources import with_json
from potstill.server.graders import Flag, Grader, GraderError, Means, Subject, parse_grader

GRADERS = "/v1/fine_tuning/alpha/graders"
COUNTED = ("prompt_tokens", "completion_tokens", "total_tokens")
UNREADABLE = (AttributeError, TypeError, ValueError)
"""What parts of a grader raise that are, say, a text where an object belongs."""
# The flag that a detail of the answer explains.
DETAILS: dict[str, Flag] = {
    "model_grader_server_error_details": "model_grader_server_error",
    "python_grader_runtime_error_details": "python_grader_runtime_error",
    "python_grader_server_error_type": "python_grader_server_error",
}


class RunRequest(msgspec.Struct, kw_only=True):
    """Body of `fine_tuning.alpha.graders.run`."""

    grader: dict[str, Any]
    model_sample: str
    item: dict[str, Any] = {}


class ValidateRequest(msgspec.Struct, kw_only=True):
    """Body of `fine_tuning.alpha.graders.validate`."""

    grader: dict[str, Any]


async def run(call: Call) -> Json:
    """Grades one sample; a grader that can't grade it has the reward 0 and says why in `metadata.errors`."""
    request: RunRequest = call.body
    grader = _parsed(request.grader)
    usage: dict[str, Counter[str]] = defaultdict(Counter)

    async def ask(body: Json) -> Json:
        found = {**await complete_counted(call.services, call.key, body), "model": body["model"]}
        said = complete_usage(found.get("usage"))
        usage[body["model"]].update({name: said[name] for name in COUNTED})
        return found

    services = call.services
    means = Means(ask=ask, embed=services.embed, allow_python=services.settings.allow_python_graders)
    subject = Subject(item=request.item, sample=with_json(request.model_sample))
    started = time.perf_counter()
    reward, sub_rewards, trouble = 0.0, {}, None
    try:
        grade = await grader.grade(subject, means)
        reward, sub_rewards = grade.score, dict(grade.sub_scores)
    except GraderError as error:
        trouble = error
    except UNREADABLE:
        trouble = GraderError("a part of the grader has another form than the API's reference says")
    metadata = {
        "name": grader.name,
        "type": grader.type,
        "errors": _errors(trouble),
        "execution_time": time.perf_counter() - started,
        "scores": sub_rewards or {grader.name: reward},
        "token_usage": sum(counts["total_tokens"] for counts in usage.values()) if usage else None,
        "sampled_model_name": None,
    }
    per_model = {model: dict(counts) for model, counts in usage.items()}
    return {
        "reward": reward,
        "metadata": metadata,
        "sub_rewards": sub_rewards,
        "model_grader_token_usage_per_model": per_model,
    }


async def validate(call: Call) -> Json:
    """Checks a grader and gives it back."""
    _parsed(call.body.grader)
    return {"grader": call.body.grader}


def _parsed(grader: Json) -> Grader:
    try:
        return parse_grader(grader)
    except UNREADABLE:
        raise invalid(
            "Invalid 'grader': a part of it has another form than the API's reference says.", "grader"
        ) from None
    except GraderError as error:
        raise invalid(f"Invalid 'grader': {error}", "grader", "invalid_grader") from None


def _errors(trouble: GraderError | None) -> Json:
    """All flags, the one that is up, and in its detail (or the message, an addition of ours) what went wrong."""
    flag = trouble.flag if trouble else None
    flags = {name: name == flag for name in get_args(Flag)}
    said = str(trouble) if trouble else None
    return {**flags, **{name: said if of == flag else None for name, of in DETAILS.items()}, "message": said}


ENDPOINTS = (
    Endpoint(method="POST", path=f"{GRADERS}/run", policy=Policy.PROJECT, handler=run, body=RunRequest),
    Endpoint(method="POST", path=f"{GRADERS}/validate", policy=Policy.PROJECT, handler=validate, body=ValidateRequest),
)
