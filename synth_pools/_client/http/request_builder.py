"""Requests, built from parts that are prepared once: no I/O, the same for both variants.

The requests of a client differ only in the path, the query and the body.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus, urlencode

from synth_pools._client.arguments import encode_json
from synth_pools._client.config import ClientConfig
from synth_pools._client.http import URL, InvalidURL
from synth_pools._client.http.messages import OutgoingRequest, ResponseHead, TimeLimits
from synth_pools._version import __version__
from synth_pools.errors import RequestValidationError

# Result of a generated `_get_kwargs`: method, url (a path), and maybe params, headers, and one of
# json, data (a form) and content.
Call = dict[str, Any]

USER_AGENT = f"synth-pools/{__version__}"

_NOTICED_FIRST_SECONDS = 1.0
# 24 days. The system counts the milliseconds of a wait in 31 bits: more may become less.
_LONGEST_WAIT = 2_147_483.0

# The limit of servers, and of httpx.
_LONGEST_URL = 65_536

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}


class RequestBuilder:
    """Builder of the requests of one configuration.

    Args:
        config: The configuration.
        accept: The accepted content type.
        read_timeout: Seconds within which the next bytes of an answer must arrive; by default the
            limit of the configuration.
    """

    def __init__(
        self, config: ClientConfig, *, accept: str, read_timeout: float | None = None
    ) -> None:
        # Normalised: the host in its ASCII form, the path encoded.
        self._base_url = str(URL(config.base_url)).rstrip("/")
        self._headers = {"Accept": accept, "User-Agent": USER_AGENT}
        # A caller's header replaces these, also Accept-Encoding, which an engine adds.
        defaults = ("Accept", "User-Agent", "Accept-Encoding")
        self._names = {name.lower(): name for name in defaults}
        for name, value in config.headers:
            self._headers[self._names.setdefault(name.lower(), name)] = value
        read = config.limit("read") if read_timeout is None else read_timeout
        limits = (config.limit("connect"), read, config.limit("write"), config.limit("pool"))
        self._limits = TimeLimits(*(min(limit, _LONGEST_WAIT) for limit in limits))

    def content(self, call: Call) -> bytes | None:
        """Encode the body of a call, once for all its attempts."""
        if "json" in call:
            return encode_json(call["json"])
        content: bytes | None = call.get("content")
        return urlencode(_words(call["data"]), doseq=True).encode() if "data" in call else content

    def build(self, call: Call, content: bytes | None, *, longest: float | None) -> OutgoingRequest:
        """Build a request.

        Args:
            call: The call.
            content: Its body, from `content`.
            longest: Seconds after which the caller stops waiting; None for no limit.

        Raises:
            RequestValidationError: Its URL is too long.
        """
        headers = self._headers.copy()
        for name, value in call.get("headers", {}).items():
            key = self._names.get(name.lower()) or name
            # A caller's own cookies stay.
            headers[key] = (
                f"{headers[key]}; {value}" if key in headers and name == "Cookie" else value
            )
        return OutgoingRequest(
            call["method"].upper(), self._url(call), headers, content, self._limits_within(longest)
        )

    def _url(self, call: Call) -> str:
        text: str = self._base_url + call["url"]
        params = call.get("params")
        if params:
            text += f"?{urlencode(_words(params), doseq=True, quote_via=_quote)}"
        if len(text) > _LONGEST_URL:
            raise RequestValidationError("the request's URL cannot be used: URL too long")
        return text

    def _limits_within(self, longest: float | None) -> TimeLimits:
        if longest is None:
            return self._limits
        # Later than the caller's own limit, so that the caller's limit always ends the wait.
        latest = max(0.0, longest) + _NOTICED_FIRST_SECONDS
        return TimeLimits(*(min(limit, latest) for limit in self._limits))


def redirected(request: OutgoingRequest, response: ResponseHead) -> OutgoingRequest | None:
    """Return the request to the target of a redirect of a GET within its origin, else None."""
    location = response.headers.get("location")
    if location is None or response.status_code not in _REDIRECTS:
        return None
    target = redirect_target(request.method, request.url, location)
    if target is None:
        return None
    return OutgoingRequest("GET", target, request.headers, None, request.limits)


def redirect_target(method: str, url: str, location: str) -> str | None:
    """Return the URL to which a redirect leads; None if it is not followed."""
    if method != "GET":
        return None
    base = URL(url)
    try:
        target = base.join(location).copy_with(fragment=None)
        # Without a path the target of the request would begin with its query.
        target = target.copy_with(raw_path=target.raw_path)
    except InvalidURL:
        return None
    return None if target.userinfo or _origin(target) != _origin(base) else str(target)


def _origin(url: URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, _PORTS.get(url.scheme) if url.port is None else url.port


def _quote(text: Any, safe: Any, encoding: Any = None, errors: Any = None) -> str:
    if text.isascii() and text.isalnum():
        # Saves most of the time of a query.
        return str(text)
    # A list in one parameter has delimiters that stay as they are.
    encoded: str | None = getattr(text, "encoded", None)
    return quote_plus(text, safe, encoding, errors) if encoded is None else encoded


def _words(params: dict[str, Any]) -> dict[str, Any]:
    return {name: _word(name, value) for name, value in params.items()}


def _word(name: str, value: Any, *, is_item: bool = False) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and not is_item:
        return [_word(name, item, is_item=True) for item in value]
    if isinstance(value, dict | list | tuple):
        raise RequestValidationError(f"{name}: a form or a query holds no {type(value).__name__}")
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
