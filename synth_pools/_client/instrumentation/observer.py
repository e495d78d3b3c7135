"""Log and hooks of a client's requests; `tracing` has the spans.

They never contain the API key, a body, or a query, which may hold a signature, and cannot make a
call fail.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from synth_pools._client.config import ClientConfig
from synth_pools._client.hooks import RequestInfo, ResponseInfo
from synth_pools._client.http.messages import ResponseHead
from synth_pools._client.http.request_builder import Call
from synth_pools.errors import APIConnectionError, APIStatusError, SynthPoolsError

_LOG = logging.getLogger("synth_pools")
_HIDDEN = ("authorization", "set-cookie", "cookie")


class RequestObserver:
    """Observer of a client's attempts, for its hooks and the log."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config

    def sending(self, operation: str, call: Call, attempt: int, headers: Mapping[str, str]) -> None:
        """Report an attempt that is about to be sent, with these headers."""
        hook = self._config.on_request
        if hook is not None:
            method, visible_headers = call["method"].upper(), self._visible(headers)
            info = RequestInfo(operation, method, call["url"], attempt, visible_headers)
            _run(hook, info, "on_request")

    def ended(
        self,
        operation: str,
        call: Call,
        attempt: int,
        seconds: float,
        response: ResponseHead | None,
        error: SynthPoolsError | None,
    ) -> None:
        """Report the end of an attempt, with a response, an error, or both."""
        method, path = call["method"].upper(), call["url"]
        status = None if response is None else response.status_code
        request_id = None if response is None else response.headers.get("x-request-id")
        if isinstance(error, APIStatusError):
            request_id = error.request_id
        if request_id is not None:
            request_id = self._config.api_key.redact(request_id)
        if _LOG.isEnabledFor(logging.DEBUG):
            result = status if status is not None else getattr(error, "cause", None)
            _LOG.debug(
                "%s %s -> %s in %.1f ms, attempt %d, request id %s",
                *(method, path, result, seconds * 1000, attempt),
                request_id,
            )
        hook = self._config.on_response
        if hook is not None:
            headers = self._visible(response.headers) if response is not None else {}
            info = ResponseInfo(
                operation, method, path, attempt, seconds, status, request_id, headers, error
            )
            _run(hook, info, "on_response")

    def retrying(
        self, call: Call, error: SynthPoolsError, attempt: int, wait: float, max_retries: int
    ) -> None:
        """Report that the request is sent again after ``wait`` seconds."""
        level = logging.WARNING if attempt >= max_retries else logging.DEBUG
        if _LOG.isEnabledFor(level):
            _LOG.log(
                level,
                "%s %s -> %s; retry %d of %d in %.2f s",
                *(call["method"].upper(), call["url"], _reason(error), attempt, max_retries, wait),
            )

    def _visible(self, headers: Mapping[str, str]) -> dict[str, str]:
        # A service, or a proxy in front of it, may echo the key.
        redact = self._config.api_key.redact
        lowered = {name.lower(): value for name, value in headers.items()}
        return {name: redact(value) for name, value in lowered.items() if name not in _HIDDEN}


def _reason(error: SynthPoolsError) -> str:
    if isinstance(error, APIStatusError):
        return str(error.status_code)
    return error.cause if isinstance(error, APIConnectionError) else type(error).__name__


def _run(hook: Any, info: RequestInfo | ResponseInfo, name: str) -> None:
    try:
        hook(info)
    except Exception:  # noqa: BLE001 - a hook may raise anything
        # An error in a hook must not cost a rollout.
        _LOG.exception("%s raised; the call goes on", name)
