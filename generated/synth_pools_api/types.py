"""Contains some shared types for properties"""

import itertools
from collections.abc import Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeAlias, TypeVar
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from uuid import UUID

Id: TypeAlias = "str | UUID"


class Unset:
    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False

    def __reduce__(self) -> str:
        """Stay the same object, `UNSET`, through copy and pickle"""
        return "UNSET"


UNSET: Unset = Unset()
_COOKIE = "!#$&'()*+-./:<=>?@[]^_`{|}~"


class Delimited(str):
    """Items of one parameter of a query; `encoded` has their delimiters as they are sent"""

    encoded: str

    def __new__(cls, delimiter: str, items: Iterable[Any]) -> Self:
        words = [_word(item) for item in items]
        text = super().__new__(cls, unquote(delimiter).join(words))
        text.encoded = delimiter.join(quote(word, safe="") for word in words)
        return text


def styled(name: str, style: str, value: Any) -> dict[str, Any]:
    """Write a list or an object for a query: as `deepObject`, exploded, or with a delimiter"""
    if not value or isinstance(value, str):
        return {name: value or UNSET}
    value = value.to_dict() if hasattr(value, "to_dict") else value
    if style == "deepObject":
        return {f"{name}[{key}]": item for key, item in value.items()}
    if style == "form":
        return dict(value)
    items = itertools.chain.from_iterable(value.items()) if isinstance(value, Mapping) else value
    return {name: Delimited(style, items)}


def sent_headers(headers: Mapping[str, Any], cookies: Mapping[str, Any]) -> dict[str, Any]:
    """Write the headers that have a value; what no cookie may hold is percent-encoded"""
    sent = {name: _word(value) for name, value in headers.items() if _is_set(value)}
    pairs = [
        f"{name}={quote(_word(value), safe=_COOKIE)}"
        for name, value in cookies.items()
        if _is_set(value)
    ]
    return {**sent, "Cookie": "; ".join(pairs)} if pairs else sent


def _is_set(value: Any) -> bool:
    return value is not None and not isinstance(value, Unset)


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


T = TypeVar("T")


class Response(Generic[T]):
    """A response from an endpoint"""

    def __init__(
        self,
        status_code: HTTPStatus,
        content: bytes,
        headers: MutableMapping[str, str],
        parsed: T | None,
    ) -> None:
        self.status_code = status_code
        self.content = content
        self.headers = headers
        self.parsed = parsed

    def __repr__(self) -> str:
        return f"Response(status_code={self.status_code!r}, parsed={self.parsed!r})"


__all__ = ["UNSET", "File", "FileTypes", "Id", "RequestFiles", "Response", "Unset"]
