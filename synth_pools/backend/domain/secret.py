"""Values that never appear in output, logs or inspection: keys, and addresses with passwords."""

from __future__ import annotations

import re
from typing import NoReturn
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from synth_pools.backend.errors import BadOptionError

# The part of an address before the hosts, the hosts, and the part after them.
_ADDRESS = re.compile(r"(\w+://(?:[^/?#]*@)?)([^/?#@]*)(.*)", re.DOTALL)


class Secret:
    """API key that never appears in output, logs or inspection."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value.encode()

    def reveal(self) -> str:
        """Return the key."""
        return self._value.decode()

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled, so that it cannot end up in a file by accident")


class StoreURL:
    """Address of a PostgreSQL database, whose password never appears in output, logs or inspection.

    Args:
        option: The name of the option, for the error.
        url: The address, such as postgresql://user:password@host:5432/database. Of several hosts,
            host,other:5433, the writable one is used.

    Raises:
        BadOptionError: The text is no such address.
    """

    __slots__ = ("_passwords", "_shown", "_url")

    def __init__(self, option: str, url: str) -> None:
        # The message does not repeat the text, which may hold a password at any position.
        problem = BadOptionError(
            f"{option} takes the URL of a PostgreSQL database, such as "
            "postgresql://user@host:5432/database; the default, SQLite, needs none"
        )
        try:
            hosts = [urlsplit(host_url) for host_url in _of_each_host(url)]
            places = [_place(host) for host in hosts]
        except ValueError:
            raise problem from None
        parts = hosts[0]
        user = unquote(parts.username or "")
        is_postgresql = parts.scheme in ("postgresql", "postgres") and url.isprintable()
        # A misplaced slash may put the password into another part, which must not be shown.
        if not is_postgresql or "@" in parts.path or (len(places) > 1 and not all(places)):
            raise problem
        query = parse_qs(parts.query)
        passwords = [
            parts.password or "",
            unquote(parts.password or ""),
            *query.get("password", ()),
        ]
        self._passwords = tuple(filter(None, passwords))
        place = ",".join(places) or query.get("host", [""])[0]
        self._shown = f"postgresql://{f'{user}@' if user else ''}{place}{parts.path}"
        self._url = Secret(url)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password in each of its forms; empty if the address has none."""
        return self._passwords

    def reveal(self) -> str:
        """Return the complete address."""
        return self._url.reveal()

    def of_each_host(self) -> list[StoreURL]:
        """Return an address for each host, one of which is writable."""
        urls = _of_each_host(self.reveal())
        if len(urls) == 1:
            return [self]
        query = urlsplit(urls[0]).query
        if "target_session_attrs" not in parse_qs(query):
            query = "&".join(filter(None, (query, "target_session_attrs=primary")))
        return [
            StoreURL("store", urlsplit(host_url)._replace(query=query).geturl())
            for host_url in urls
        ]

    def masked(self, text: str) -> str:
        """Return a text without the password."""
        for password in self._passwords:
            text = text.replace(password, "***")
        return text

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"StoreURL({self._shown!r})"


def _of_each_host(url: str) -> list[str]:
    """Return an address for each of the hosts."""
    # Split here, since some versions of the library refuse a host in brackets beside another.
    match = _ADDRESS.fullmatch(url)
    if match is None:
        return [url]
    before, hosts, after = match.groups()
    return [f"{before}{host}{after}" for host in hosts.split(",")]


def _place(parts: SplitResult) -> str:
    """Return a host and its port as they are shown; raise `ValueError` for a bad port."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port is None else f"{host}:{parts.port}"
