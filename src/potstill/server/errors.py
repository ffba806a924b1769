"""What a client is told when a request can't be answered: OpenAI's error body, always with its four keys."""

from __future__ import annotations

from typing import Any

from potstill.errors import PotstillError


class ApiError(PotstillError):
    """A request that can't be answered, with its HTTP status.

    The SDK sends again on 408, 409, 429 and 5xx, so what stays wrong has another status.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code or None
        self.headers: dict[str, str] = {}

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}


def invalid(message: str, param: str | None = None, code: str = "") -> ApiError:
    """400: the request can't be used as it is."""
    return ApiError(400, message, param=param, code=code)


def unauthorized(message: str, code: str = "invalid_api_key") -> ApiError:
    """401: no key, or not a valid one."""
    found = ApiError(401, message, code=code)
    found.headers["www-authenticate"] = "Bearer"
    return found


def forbidden(message: str, code: str = "forbidden") -> ApiError:
    """403: a valid key that may not do this, or a browser's request from elsewhere."""
    return ApiError(403, message, kind="permission_error", code=code)


def not_found(what: str, id: str, param: str | None = "id") -> ApiError:
    """404: unknown, or another project's, which is not told apart."""
    return ApiError(404, f"No such {what}: {id[:200]}", param=param, code="not_found")


def no_such_model(model: str) -> ApiError:
    """404: neither a teacher nor a student of this project."""
    message = f"The model `{model[:200]}` does not exist or you do not have access to it."
    return ApiError(404, message, param="model", code="model_not_found")


def too_large(message: str) -> ApiError:
    """413: more bytes than are taken."""
    return ApiError(413, message, code="request_too_large")
