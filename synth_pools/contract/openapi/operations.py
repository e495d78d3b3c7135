"""Operations, as a document describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any
from urllib.parse import unquote

from synth_pools.contract.exceptions import MissingOperationError
from synth_pools.contract.results import status_matches

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class DocumentedResponse:
    """One documented response.

    Attributes:
        status: The status, or a range as "5XX".
        content: The schemas by media type.
        headers: The schemas by header.
        required_headers: The headers that every such response has.
    """

    status: str
    content: Mapping[str, Mapping[str, Any]]
    headers: Mapping[str, Mapping[str, Any]]
    required_headers: frozenset[str]

    def schema(self, media_type: str) -> Mapping[str, Any] | None:
        """Return the schema of a media type, which a range such as `image/*` may list."""
        exact = self.content.get(media_type)
        if exact is not None:
            return exact
        ranges = (key for key in self.content if "*" in key and fnmatch(media_type, key))
        return next((self.content[key] for key in ranges), None)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, as the document describes it.

    Attributes:
        id: Its operationId; its method and path if it has none.
        method: Its HTTP method, in upper case.
        path: Its path, with the names of ids in braces.
        tag: Its first tag.
        responses: The documented responses by status.
        pattern: The pattern of its paths.
        id_names: The names of the ids in the path.
        request: The schema of its JSON body; None if it has no body.
        body_required: False if it may be called without a body.
        body_fields: The fields that the document names in the body.
        headers: The request headers that the document names, in lower case.
        feature: The feature of the servers that offer it; "" if every server does.
        result: The name of the schema of its JSON result; "" if it has none.
        item: The name of the schema of the items of that result; "" if that is no list.
        lists: The fields of that result that hold lists of items.
        is_paged: True if that result is a page, with a cursor for the next one.
        needs_key: True if the document lets nobody call it without a key.
        query: The schemas of the parameters of its query, by name.
        required_query: The parameters of the query that every request has.
    """

    id: str
    method: str
    path: str
    tag: str
    responses: Mapping[str, DocumentedResponse]
    pattern: re.Pattern[str] = field(repr=False)
    id_names: tuple[str, ...] = ()
    request: Mapping[str, Any] | None = field(repr=False, default=None)
    body_required: bool = True
    body_fields: tuple[str, ...] = ()
    headers: frozenset[str] = frozenset()
    feature: str = ""
    result: str = ""
    item: str = ""
    lists: tuple[str, ...] = ()
    is_paged: bool = False
    needs_key: bool = False
    query: Mapping[str, Mapping[str, Any]] = field(repr=False, default_factory=dict)
    required_query: frozenset[str] = frozenset()

    def own_ids(self, ids: Mapping[str, str]) -> dict[str, str]:
        """Return the given ids that the path names."""
        return {name: ids[name] for name in self.id_names if name in ids}

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def streams(self) -> bool:
        """True if it answers with an event stream."""
        return any(EVENT_STREAM in response.content for response in self.responses.values())

    def response(self, status: int) -> DocumentedResponse | None:
        """Return the documented response for a status; an exact status precedes a range."""
        exact = self.responses.get(str(status))
        if exact is not None:
            return exact
        for documented, response in self.responses.items():
            if status_matches(documented, status):
                return response
        return self.responses.get("default")

    def ids(self, path: str) -> dict[str, str] | None:
        """Return the ids in an encoded path; None if the path is not this operation's."""
        match = self.pattern.fullmatch(path)
        if match is None:
            return None
        return dict(zip(self.id_names, map(unquote, match.groups()), strict=True))


class Operations(dict[str, Operation]):
    """Operations by id; a missing id raises `MissingOperationError`."""

    def __missing__(self, name: str) -> Operation:
        raise MissingOperationError(name)

    def named(self, name: str) -> Operation | None:
        """Return an operation by its id, or by its method and path; None if there is none."""
        if name in self:
            return self[name]
        return next((operation for operation in self.values() if operation.route == name), None)


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Place of the key in a request.

    Attributes:
        scheme: The name of the security scheme; "" if the document has none.
        where: "header", "query" or "cookie".
        name: The name of the header, the parameter or the cookie, in lower case if a header.
        prefix: The text before the key, as in "Bearer ".
    """

    scheme: str = ""
    where: str = "header"
    name: str = "authorization"
    prefix: str = "Bearer "
