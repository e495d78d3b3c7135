"""Errors in answers to requests, and their form on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# The connection failed for lack of resources of the backend, not because of the container.
SHORTAGE = "backend_shortage"
FORBIDDEN = "forbidden_container_url"
NO_CONTAINER = "no_container"

# Seconds after which a retry may find the pool's containers up.
_WARMING_SECONDS = 1
# Seconds after which others may have released the memory of their large documents.
_ROOM_SECONDS = 5


class ApiError(Exception):
    """Error that ends a request with a status and an error document."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        fields: Sequence[Mapping[str, Any]] | None = None,
        rollout_id: str | None = None,
        retryable: bool | None = None,
        retry_after_seconds: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.fields = fields
        self.rollout_id = rollout_id
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.headers = dict(headers or {})
        if retry_after_seconds is not None:
            self.headers["retry-after"] = str(retry_after_seconds)

    def document(self, request_id: str) -> dict[str, Any]:
        """Return both forms that clients read: `detail`, and the older `error` envelope."""
        detail = self.message if self.fields is None else list(self.fields)
        return {"detail": detail, "error": self._envelope({"request_id": request_id})}

    def item(self) -> dict[str, Any]:
        """Return the envelope alone, for one of many items of a request."""
        if self.fields is None:
            return self._envelope({})
        return self._envelope({"details": {"errors": list(self.fields)}})

    def _envelope(self, more: Mapping[str, Any]) -> dict[str, Any]:
        envelope: dict[str, Any] = {"code": self.code, "message": self.message, **more}
        if self.details is not None:
            envelope["details"] = self.details
        if self.rollout_id is not None:
            envelope["rollout_id"] = self.rollout_id
        if self.retryable is not None:
            envelope["retryable"] = self.retryable
        if self.retry_after_seconds is not None:
            envelope["retry_after_ms"] = self.retry_after_seconds * 1000
        return envelope


class StorageUnavailableError(ApiError):
    """Stored data cannot be written or read at the moment.

    Args:
        resource: The resource that cannot be used.
        reason: The cause.
        outcome: The outcome of the failed write.
    """

    def __init__(self, resource: str, reason: str, outcome: str = "nothing was changed") -> None:
        super().__init__(
            503,
            "storage_unavailable",
            f"The backend cannot use {resource} ({reason}); {outcome}.",
            retryable=True,
            headers={"retry-after": "5"},
        )
        self.reason = reason


def bad_request(message: str) -> ApiError:
    """Build the error 400 `bad_request`."""
    return ApiError(400, "bad_request", message)


def forbidden_container_url(message: str) -> ApiError:
    """Build the error 403 `forbidden_container_url`."""
    return ApiError(403, FORBIDDEN, message)


def insufficient_scope(key_name: str, scope: str) -> ApiError:
    """Build the error 403 `insufficient_scope`."""
    message = f"The key {key_name!r} may not do this, which takes the scope {scope!r}."
    return ApiError(403, "insufficient_scope", message, details={"scope": scope})


def not_found(message: str) -> ApiError:
    """Build the error 404 `not_found`."""
    return ApiError(404, "not_found", message)


def pool_not_found(pool_id: str) -> ApiError:
    """Build the error 404 `pool_not_found`."""
    return ApiError(404, "pool_not_found", f"Pool {pool_id!r} does not exist.")


def task_not_found(task_id: str, pool_id: str) -> ApiError:
    """Build the error 404 `task_not_found`."""
    return ApiError(404, "task_not_found", f"Pool {pool_id!r} has no task {task_id!r}.")


def rollout_not_found(rollout_id: str, pool_id: str | None) -> ApiError:
    """Build the error 404 `rollout_not_found`."""
    place = "" if pool_id is None else f" in pool {pool_id!r}"
    return ApiError(404, "rollout_not_found", f"Rollout {rollout_id!r} does not exist{place}.")


def method_not_allowed(method: str, allowed: Sequence[str]) -> ApiError:
    """Build the error 405 `method_not_allowed`."""
    return ApiError(
        405,
        "method_not_allowed",
        f"{method} is not possible here; {', '.join(allowed)} is.",
        headers={"allow": ", ".join(allowed)},
    )


def conflict(code: str, message: str, *, rollout_id: str | None = None) -> ApiError:
    """Build the error 409 with this code."""
    return ApiError(409, code, message, rollout_id=rollout_id)


def id_mismatch(message: str) -> ApiError:
    """Build the error 409 `id_mismatch`."""
    return conflict("id_mismatch", message)


def pool_archived(pool_id: str) -> ApiError:
    """Build the error 409 `pool_archived`."""
    return conflict("pool_archived", f"Pool {pool_id!r} is archived and never changes again.")


def pool_not_active(pool_id: str, status: str, reason: str | None = None) -> ApiError:
    """Build the error 409 `pool_not_active`, which is worth a retry while the pool is warming."""
    message = f"Pool {pool_id!r} is {status}{f': {reason}' if reason else '.'}"
    if status != "warming":
        return conflict("pool_not_active", message)
    # The request needs no change, only time.
    return ApiError(
        409, "pool_not_active", message, retryable=True, retry_after_seconds=_WARMING_SECONDS
    )


def no_container() -> ApiError:
    """Build the error 409 `no_container`: nothing would run the rollouts of a pool."""
    return conflict(
        NO_CONTAINER,
        "The pool has a target of its own, and no container that runs its rollouts: give it "
        "container_url, container_urls, config.process or config.image, for harbor and openenv "
        "with `synth-pools pools create --environment harbor:NAME`; or give a task its "
        "container_url.",
    )


def payload_too_large(limit: int) -> ApiError:
    """Build the error 413 `payload_too_large`."""
    message = (
        f"The body is larger than {limit} bytes: send less at a time, or start the backend with a "
        "larger --max-body-bytes."
    )
    return ApiError(413, "payload_too_large", message)


def no_room(seconds: float) -> ApiError:
    """Build the error 503 `no_room`: large documents in use leave no memory, or no turn."""
    return ApiError(
        503,
        "no_room",
        f"The backend had no room or turn for a large document within {seconds:g} seconds; nothing "
        "was changed. Send the request again.",
        retryable=True,
        retry_after_seconds=_ROOM_SECONDS,
    )


def too_many(code: str, message: str, limit: int, retry_after_seconds: int) -> ApiError:
    """Build the error 429 with this code."""
    return ApiError(
        429,
        code,
        message,
        details={"limit": limit},
        retryable=True,
        retry_after_seconds=retry_after_seconds,
    )


def invalid(fields: Sequence[Mapping[str, Any]]) -> ApiError:
    """Build the error 422 `validation_failed`."""
    first = fields[0]
    place = ".".join(str(part) for part in first["loc"])
    more = "" if len(fields) == 1 else f" (and {len(fields) - 1} more)"
    return ApiError(
        422, "validation_failed", f"{place}: {first['msg']}{more}", fields=fields, retryable=False
    )


def internal_error() -> ApiError:
    """Build the error 500 `internal_error`."""
    return ApiError(
        500, "internal_error", "The backend failed; its log has the cause under this request id."
    )
