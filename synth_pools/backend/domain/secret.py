"""Values that no print, log or inspection shows: keys, and addresses with passwords."""

from __future__ import annotations

from typing import NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

from ..errors import BadOptionError


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
        url: The address, such as postgresql://user:password@host:5432/database.

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
            parts = urlsplit(url)
            host, port, user = parts.hostname or "", parts.port, unquote(parts.username or "")
        except ValueError:
            raise problem from None
        if parts.scheme not in ("postgresql", "postgres") or not url.isprintable():
            raise problem
        query = parse_qs(parts.query)
        given = [parts.password or "", unquote(parts.password or ""), *query.get("password", ())]
        self._passwords = tuple(filter(None, given))
        host = f"[{host}]" if ":" in host else host or query.get("host", [""])[0]
        place = host if port is None else f"{host}:{port}"
        self._shown = f"postgresql://{f'{user}@' if user else ''}{place}{parts.path}"
        self._url = Secret(url)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password in each of its forms; none where there is none in the address."""
        return self._passwords

    def reveal(self) -> str:
        """Return the address with all that it holds."""
        return self._url.reveal()

    def masked(self, text: str) -> str:
        """Return a text without the password."""
        for password in self._passwords:
            text = text.replace(password, "***")
        return text

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"StoreURL({self._shown!r})"
