"""Values that no print, log or inspection shows: keys, and addresses with passwords."""

from __future__ import annotations

import re
from typing import NoReturn
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from synth_pools.backend.errors import BadOptionError

# What comes before the hosts of an address, the hosts, and what comes after them.
_ADDRESS = re.compile(r"(\w+://(?:[^/?#]*@)?)([^/?#@]*)(.*)", re.DOTALL)


class Secret:
    """An API key that no print, log or inspection shows."""

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
    """Address of a PostgreSQL database, whose password no print, log or inspection shows.

    Args:
        option: The option that it is from, for the error.
        url: The address, such as postgresql://user:password@host:5432/database; of several hosts,
            host,other:5433, that is meant which may be written to.

    Raises:
        BadOptionError: It is no such address.
    """

    __slots__ = ("_passwords", "_shown", "_url")

    def __init__(self, option: str, url: str) -> None:
        # No word of what it was: it may hold a password wherever it goes wrong.
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
        is_one = parts.scheme in ("postgresql", "postgres") and url.isprintable()
        # Whatever else a slash too many makes of it, it is not to be shown.
        if not is_one or "@" in parts.path or (len(places) > 1 and not all(places)):
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
        """The password in each of its forms; none where there is none in the address."""
        return self._passwords

    def reveal(self) -> str:
        """Return the address with all that it holds."""
        return self._url.reveal()

    def of_each_host(self) -> list[StoreURL]:
        """Return the addresses with one host each, of which one may be written to."""
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
    """Return an address with each of its hosts alone."""
    # Not split by the library, of which some versions know no host in brackets beside another.
    match = _ADDRESS.fullmatch(url)
    if match is None:
        return [url]
    before, hosts, after = match.groups()
    return [f"{before}{host}{after}" for host in hosts.split(",")]


def _place(parts: SplitResult) -> str:
    """Return a host and its port as they are shown; raises `ValueError` for what is neither."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port is None else f"{host}:{parts.port}"
