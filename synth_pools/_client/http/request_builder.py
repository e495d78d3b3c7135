"""Requests, built from parts that are made once: no I/O, the same for both variants.

What a client sends differs from call to call in the path, the query and the body. Everything else
is the same bytes each time, and building it anew takes as long as a third of a whole call on the
loopback interface.
"""

from __future__ import annotations

import functools
from typing import Any

from synth_pools._client.arguments import encode_json
from synth_pools._client.config import ClientConfig
from synth_pools._client.http import (
    URL,
    AsyncClient,
    BaseTransport,
    ByteStream,
    Client,
    Headers,
    InvalidURL,
    QueryParams,
    Request,
    Timeout,
)
from synth_pools._version import __version__
from synth_pools.errors import RequestValidationError

# What a generated `_get_kwargs` returns: method, url (a path), and maybe params, headers, json.
Call = dict[str, Any]

USER_AGENT = f"synth-pools/{__version__}"

_NOTICED_FIRST_SECONDS = 1.0

_NO_BODY = ByteStream(b"")


class RequestBuilder:
    """Builder of the requests of one configuration.

    Args:
        config: The configuration.
        accept: The content type that is asked for.
        read_timeout: Most seconds of waiting for the next bytes of an answer.
    """

    def __init__(self, config: ClientConfig, *, accept: str, read_timeout: float) -> None:
        self._base_url = config.base_url
        origin = URL(config.base_url)
        # A caller's own HTTP client says the rest in its own words.
        self._said_anyway = Headers({"Accept": accept, "User-Agent": USER_AGENT})
        self._said_anyway.update(dict(config.headers))
        self._headers = Headers(
            [
                (b"Host", origin.netloc),
                (b"Accept-Encoding", _accepted_encodings()),
                (b"Connection", b"keep-alive"),
                *self._said_anyway.raw,
            ]
        )
        self._limits = {
            "connect": config.timeout,
            "read": read_timeout,
            "write": config.timeout,
            "pool": config.timeout,
        }

    def content(self, call: Call) -> bytes | None:
        """Encode the body of a call, once for all its attempts."""
        return encode_json(call["json"]) if "json" in call else None

    def build(self, call: Call, content: bytes | None, *, longest: float | None) -> Request:
        """Build a request for an HTTP client of our own.

        Args:
            call: What to ask.
            content: Its body, from `content`.
            longest: Seconds after which whoever asked has stopped waiting; None if they do not.
        """
        request = Request(
            call["method"],
            self._url(call),
            headers=self._headers,
            stream=_NO_BODY if content is None else ByteStream(content),
            extensions={"timeout": self._limits_within(longest)},
        )
        for name, value in call.get("headers", {}).items():
            request.headers[name] = value
        if content is not None:
            request.headers["Content-Length"] = str(len(content))
        return request

    def build_for(
        self,
        http: Client | AsyncClient,
        call: Call,
        content: bytes | None,
        *,
        longest: float | None,
    ) -> Request:
        """Build a request for a caller-supplied HTTP client, which adds headers of its own."""
        headers = self._said_anyway.copy()
        headers.update(call.get("headers", {}))
        return http.build_request(
            call["method"],
            self._url(call),
            headers=headers,
            content=content,
            timeout=Timeout(**self._limits_within(longest)),
        )

    def _url(self, call: Call) -> URL:
        text = self._base_url + call["url"]
        params = call.get("params")
        if params:
            text += f"?{QueryParams(params)}"
        problem = ""
        try:
            # A pool, a rollout's state or the first page of a list are asked for again and again.
            return _parsed(text)
        except InvalidURL as error:
            problem = str(error)
        raise RequestValidationError(f"the request's URL cannot be used: {problem}")

    def _limits_within(self, longest: float | None) -> dict[str, float]:
        if longest is None:
            return self._limits
        # Later than the one who waits, so that it is always the same one who notices.
        latest = max(0.0, longest) + _NOTICED_FIRST_SECONDS
        return {name: min(limit, latest) for name, limit in self._limits.items()}


@functools.lru_cache(maxsize=512)
def _parsed(url: str) -> URL:
    return URL(url)


@functools.cache
def _accepted_encodings() -> bytes:
    """Return the content encodings that this installation can decode."""
    client = Client(transport=BaseTransport(), trust_env=False)
    return client.headers["Accept-Encoding"].encode()
