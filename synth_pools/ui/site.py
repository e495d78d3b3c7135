"""Responses of the paths of the page: its files, log-in and log-out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synth_pools.ui.assets import INDEX, Asset, load_assets
from synth_pools.ui.comparisons import compared
from synth_pools.ui.sessions import Keys, LoginLinks, Sessions, foreign_origin

ROOT = "/ui/"
COMPARISON = f"{ROOT}comparison"
MOST_BODY_BYTES = 16 * 1024
_SESSION = f"{ROOT}session"
_READING = ("GET", "HEAD")
_HEADERS = {
    # Only the page's own files are loaded, and no text of a container becomes markup.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Request for a path of the page."""

    method: str
    path: str
    # Names are in lower case.
    headers: Mapping[str, str]
    body: bytes = b""
    is_secure: bool = False


@dataclass(frozen=True, slots=True)
class PageResponse:
    """Response to a `PageRequest`."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def is_page_path(path: str) -> bool:
    """Tell whether a path belongs to the page."""
    return path in ("/", "/ui") or path.startswith(ROOT)


class Site:
    """Page of one server.

    Args:
        keys: The keys that log in.
        sessions: The sessions of these keys.
        links: The links that log in.
        about: Facts for the page: `url` is the base URL of an API elsewhere, `journal` the name of
            a journal that is shown in place of a backend.
    """

    def __init__(
        self,
        keys: Keys,
        sessions: Sessions,
        links: LoginLinks,
        about: Mapping[str, str] | None = None,
    ) -> None:
        self._keys = keys
        self._links = links
        self._assets = load_assets(about or {})
        self.sessions = sessions

    def answer(self, request: PageRequest) -> PageResponse:
        """Respond to a request; `is_page_path` must be true for its path."""
        return self.finish(self._answer(request))

    def finish(self, response: PageResponse) -> PageResponse:
        """Add the headers that every response of the page has."""
        return PageResponse(response.status, response.body, {**_HEADERS, **response.headers})

    def _answer(self, request: PageRequest) -> PageResponse:
        if request.path == _SESSION:
            if request.method == "POST":
                return self._log_in(request)
            if request.method == "DELETE":
                return self._log_out(request)
            return _refusal(405, "method_not_allowed", "POST logs in, DELETE logs out.")
        if request.path == COMPARISON and request.method == "POST":
            if not self.sessions.admits(request.headers):
                return _refusal(401, "unauthorized", "Log in to the page.")
            return comparison_response(request.body)
        if request.method not in _READING:
            return _refusal(405, "method_not_allowed", "The page can only be read.")
        if request.path in ("/", "/ui"):
            return PageResponse(307, headers={"location": ROOT, "cache-control": "no-cache"})
        asset = self._assets.get(request.path.removeprefix(ROOT) or INDEX)
        if asset is None:
            return _refusal(404, "not_found", "The page has no such file.")
        return _asset_response(asset, request.headers)

    def _log_in(self, request: PageRequest) -> PageResponse:
        if reason := foreign_origin(request.headers):
            return _refusal(403, "forbidden", reason)
        # A form of a foreign page cannot have this media type.
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _refusal(415, "unsupported_media_type", "Send application/json.")
        name = self._name_of(request.body)
        try:
            if name is not None:
                cookie, token = self.sessions.open(
                    name, request.headers, is_secure=request.is_secure
                )
                headers = {"set-cookie": cookie, "cache-control": "no-store"}
                return _json(200, {"token": token, "name": name}, headers)
        except KeyError:
            # The key was removed from the file of keys in the meantime.
            pass
        return _refusal(
            401, "unauthorized", "The link was used before or is too old, or the key is wrong."
        )

    def _name_of(self, body: bytes) -> str | None:
        """Return the name of the key that a body logs in with; None if it is not valid."""
        try:
            credentials = json.loads(body)
        except (ValueError, RecursionError):
            return None
        if not isinstance(credentials, dict):
            return None
        link, key = credentials.get("link"), credentials.get("key")
        if isinstance(link, str) and self._links.redeem(link):
            return self._keys.first_name()
        if isinstance(key, str):
            return self._keys.name_of(key.strip().encode("utf-8", "replace"))
        return None

    def _log_out(self, request: PageRequest) -> PageResponse:
        if reason := foreign_origin(request.headers):
            return _refusal(403, "forbidden", reason)
        cookie = self.sessions.closing_cookie(request.headers, is_secure=request.is_secure)
        return _json(200, {}, {"set-cookie": cookie, "cache-control": "no-store"})


def comparison_response(body: bytes) -> PageResponse:
    """Respond to a request that compares two runs; it takes up to seconds of a processor."""
    try:
        return _json(200, compared(body), {"cache-control": "no-store"})
    except ValueError as error:
        return _refusal(422, "invalid_request", str(error))


def _asset_response(asset: Asset, headers: Mapping[str, str]) -> PageResponse:
    tags = [tag.strip() for tag in headers.get("if-none-match", "").split(",")]
    # An updated server has other files under the same names.
    response_headers = {"etag": asset.etag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if asset.etag in tags:
        return PageResponse(304, headers=response_headers)
    response_headers["content-type"] = asset.content_type
    if "gzip" not in headers.get("accept-encoding", ""):
        return PageResponse(200, asset.content, response_headers)
    return PageResponse(200, asset.compressed, {**response_headers, "content-encoding": "gzip"})


def _refusal(status: int, code: str, message: str) -> PageResponse:
    return _json(status, {"error": {"code": code, "message": message}}, {})


def _json(status: int, document: Any, headers: Mapping[str, str]) -> PageResponse:
    body = json.dumps(document, allow_nan=False).encode("ascii")
    return PageResponse(status, body, {"content-type": "application/json", **headers})
