"""Refusals: an error code, its status, and its details."""

from __future__ import annotations

from typing import Any

_STATUS = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden_host": 403,
    "forbidden_container_key": 403,
    "forbidden_container_url": 403,
    "processes_not_allowed": 403,
    "images_not_allowed": 403,
    "ray_not_allowed": 403,
    "not_found": 404,
    "pool_not_found": 404,
    "task_not_found": 404,
    "rollout_not_found": 404,
    "artifact_not_found": 404,
    "method_not_allowed": 405,
    "id_mismatch": 409,
    "pool_exists": 409,
    "task_exists": 409,
    "pool_archived": 409,
    "pool_not_active": 409,
    "no_active_pool": 409,
    "rollout_finished": 409,
    "run_active": 409,
    "idempotency_conflict": 409,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "range_not_satisfiable": 416,
    "validation_failed": 422,
    "headers_too_large": 431,
    "internal_error": 500,
    "not_implemented": 501,
    "container_unreachable": 502,
    "container_error": 502,
    "container_timeout": 504,
}
_RETRYABLE = {"container_unreachable"}


class Problem(Exception):  # noqa: N818 - it is an answer, not a fault of the program
    """Refusal of a request."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        fields: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = _STATUS[code]
        self.message = message
        self.fields = fields
        self.headers = headers or {}
        self.details = details

    def envelope(self) -> dict[str, Any]:
        """Return the value of `error`, without the id of the request."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "retryable": self.code in _RETRYABLE,
        }
        if self.details:
            error["details"] = self.details
        return error

    def body(self, request_id: str) -> dict[str, Any]:
        """Return the whole body of the answer."""
        return {
            "detail": self.message if self.fields is None else self.fields,
            "error": {**self.envelope(), "request_id": request_id},
        }


def invalid(fields: list[dict[str, Any]]) -> Problem:
    """Refusal with 422 that names each field."""
    first = fields[0]
    where = ".".join(str(part) for part in first["loc"])
    more = f", and {len(fields) - 1} more" if len(fields) > 1 else ""
    return Problem("validation_failed", f"{where}: {first['msg']}{more}", fields=fields)


def invalid_field(loc: list[str | int], message: str, kind: str = "value") -> Problem:
    return invalid([{"loc": loc, "msg": message, "type": kind}])
