"""Sessions of the page: signed cookies that are valid only with the page's own token.

A browser sends cookies to every port of a host, and takes pages of other ports for the same site.
A session therefore has two halves: a cookie that no script can read, and a token in a header, which
the page keeps in the storage of its origin. A server on another port may receive the cookie, never
the token; a foreign page cannot send the header without a permission, and none is granted.

Nothing is stored here: both halves are signed with a secret that is derived from the key. A session
survives a restart, and ends when its key is removed.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

TOKEN_HEADER = "x-synth-pools-page"  # noqa: S105 - the name of a header
SESSION_SECONDS = 7 * 86_400
LINK_SECONDS = 3600.0
_MOST_LINKS = 100


class Keys(Protocol):
    """Named API keys that can log in."""

    def name_of(self, candidate: bytes) -> str | None:
        """Return the name of a key; None if it is unknown."""
        ...

    def session_secret(self, name: str) -> bytes | None:
        """Return the secret that signs the sessions of a key; None if there is no such key."""
        ...

    def first_name(self) -> str:
        """Return the name of the key that a link logs in with."""
        ...


class OneKey:
    """Single key without a name."""

    def __init__(self, key: str) -> None:
        self._digest = hashlib.sha256(key.encode()).digest()

    def name_of(self, candidate: bytes) -> str | None:
        digest = hashlib.sha256(candidate).digest()
        return "" if hmac.compare_digest(digest, self._digest) else None

    def session_secret(self, name: str) -> bytes | None:
        return None if name else session_secret(self._digest)

    def first_name(self) -> str:
        return ""


def session_secret(key_digest: bytes) -> bytes:
    """Derive the secret that signs sessions from the SHA-256 of a key."""
    return hmac.digest(key_digest, b"synth-pools page", hashlib.sha256)


class LoginLinks:
    """Links that log in once, within an hour, and only in the process that issued them.

    Args:
        now: The clock, in seconds since 1970.
        new_token: Returns a secret of the given number of random bytes.
    """

    def __init__(self, now: Callable[[], float], new_token: Callable[[int], str]) -> None:
        self._now = now
        self._new_token = new_token
        self._ends: dict[bytes, float] = {}
        self._lock = threading.Lock()

    def issue(self) -> str:
        """Return the token of a new link."""
        token = self._new_token(32)
        with self._lock:
            if len(self._ends) >= _MOST_LINKS:
                self._ends.pop(next(iter(self._ends)))
            self._ends[_digest(token)] = self._now() + LINK_SECONDS
        return token

    def redeem(self, token: str) -> bool:
        """Use up the token of a link; return False if it is used, expired or unknown."""
        with self._lock:
            # The time of a search by the digest reveals nothing about the token.
            end = self._ends.pop(_digest(token), None)
        return end is not None and self._now() < end


class Sessions:
    """Sessions of the page.

    Args:
        keys: The keys of the sessions.
        now: The clock, in seconds since 1970.
        new_token: Returns a secret of the given number of random bytes.
    """

    def __init__(
        self, keys: Keys, now: Callable[[], float], new_token: Callable[[int], str]
    ) -> None:
        self._keys = keys
        self._now = now
        self._new_token = new_token

    def open(self, name: str, headers: Mapping[str, str], *, is_secure: bool) -> tuple[str, str]:
        """Open a session of a key.

        Args:
            name: The name of the key.
            headers: The request's headers by lower-case name.
            is_secure: Whether the request came over TLS.

        Returns:
            The value of `Set-Cookie`, and the token of the page.

        Raises:
            KeyError: The key was removed.
        """
        secret = self._keys.session_secret(name)
        if secret is None:
            raise KeyError(name)
        head = f"{int(self._now()) + SESSION_SECONDS}:{self._new_token(16)}:{name}"
        cookie = f"{_cookie_name(headers)}={head}:{_mac(secret, 'cookie', head)}"
        return _cookie(cookie, SESSION_SECONDS, is_secure), _mac(secret, "page", head)

    def closing_cookie(self, headers: Mapping[str, str], *, is_secure: bool) -> str:
        """Return the value of `Set-Cookie` that ends a session."""
        return _cookie(f"{_cookie_name(headers)}=", 0, is_secure)

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a request comes from the page, in a valid session.

        Args:
            headers: The request's headers by lower-case name.
        """
        return self.key_name(headers) is not None

    def key_name(self, headers: Mapping[str, str]) -> str | None:
        """Return the name of the key of a session; None for a request outside of one."""
        token = headers.get(TOKEN_HEADER)
        if token is None or foreign_origin(headers) is not None:
            return None
        parts = _sent_cookie(headers).rsplit(":", 1)
        head = parts[0].split(":")
        secret = self._keys.session_secret(head[-1])
        if len(parts) != 2 or secret is None:
            return None
        cookie, page = _mac(secret, "cookie", parts[0]), _mac(secret, "page", parts[0])
        if not (_is_equal(parts[1], cookie) and _is_equal(token, page)):
            return None
        # A value with a valid signature was made by `open`.
        return head[-1] if self._now() < int(head[0]) else None


def foreign_origin(headers: Mapping[str, str]) -> str | None:
    """Say why a request cannot come from a page of this server; None if it may.

    Args:
        headers: The request's headers by lower-case name.
    """
    # The header of the browser holds behind proxies, too; it is missing over plain HTTP.
    site = headers.get("sec-fetch-site")
    if site is not None:
        return None if site == "same-origin" else "Another page asked for this."
    origin = headers.get("origin")
    if origin is None:
        return None
    # The scheme is not compared: a proxy that ends TLS may not have passed it on.
    page = origin.partition("://")[2]
    host = headers.get("host", "")
    # No page can set this header without a permission of the server, which gives none.
    if page and page in (host, headers.get("x-forwarded-host", "").partition(",")[0].strip()):
        return None
    return (
        f"A page of {page or origin} asked for this, and the server was called {host}. A proxy "
        "between them must pass the name on, as nginx does with: proxy_set_header Host $http_host;"
    )


def _cookie_name(headers: Mapping[str, str]) -> str:
    # Cookies are shared by all ports of a host: each backend needs a name of its own.
    port = headers.get("host", "").rpartition(":")[2]
    return f"synth_pools_{port if port.isdecimal() else 'default'}"


def _cookie(pair: str, seconds: int, is_secure: bool) -> str:
    secure = "; Secure" if is_secure else ""
    return f"{pair}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _sent_cookie(headers: Mapping[str, str]) -> str:
    expected = _cookie_name(headers)
    for pair in headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == expected:
            return value
    return ""


def _mac(secret: bytes, purpose: str, head: str) -> str:
    return hmac.digest(secret, f"{purpose}:{head}".encode(), hashlib.sha256).hex()


def _is_equal(first: str, second: str) -> bool:
    return hmac.compare_digest(first.encode(), second.encode())


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
