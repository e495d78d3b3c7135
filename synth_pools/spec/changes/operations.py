"""Operations of a document by their routes, with what they inherit: parameters, servers, logins."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from synth_pools.spec.changes.source import METHODS, OpenApiFile

# Not the expression of a callback: where it is read is its meaning.
_PLACEHOLDER = re.compile(r"\{((?!\$)[^{}]*)\}")
# Header parameters that OpenAPI ignores: other keywords describe them.
_IGNORED = {"accept", "content-type", "authorization"}
_MOST_ADDRESSES = 200
_FLOW_ADDRESSES = ("authorizationUrl", "tokenUrl", "deviceAuthorizationUrl")

Node = Mapping[str, Any]
# A way to log in: the schemes that it needs, each with its scopes.
Login = tuple[tuple[str, frozenset[str]], ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """Operation of a document.

    Attributes:
        file: Its document.
        route: Its method and path as written.
        node: Its description.
        parameters: Its parameters and those of its path, by place and name.
        servers: Its addresses, else those of its path, else those of the document.
    """

    file: OpenApiFile
    route: str
    node: Node
    parameters: Mapping[str, Node]
    servers: tuple[str, ...]

    @property
    def id(self) -> str:
        """Its `operationId`; empty if it has none."""
        return str(self.node.get("operationId") or "")

    @property
    def name(self) -> str:
        """Its `operationId`, else its route."""
        return self.id or self.route

    @property
    def logins(self) -> list[Login]:
        """The ways to log in, of which each is enough; an empty one needs nothing."""
        demands = self.node.get("security", self.file.content.get("security")) or [{}]
        return [
            tuple(sorted((_scheme(self.file, name), frozenset(scopes or ())) for name, scopes in
                         demand.items()))
            for demand in demands
        ]  # fmt: skip


def resolved(file: OpenApiFile, node: Any) -> Node | None:
    """Follow the references of an object that is no schema; None for a circle, or no object."""
    references: set[str] = set()
    siblings: dict[str, Any] = {}
    while isinstance(node, dict) and isinstance(node.get("$ref"), str):
        if node["$ref"] in references:
            return None
        references.add(node["$ref"])
        siblings = {key: value for key, value in node.items() if key != "$ref"} | siblings
        node = file.find(node["$ref"])[1]
    return {**node, **siblings} if isinstance(node, dict) else None


def operations_of(file: OpenApiFile) -> dict[str, Operation]:
    """Return the operations by route, in which the names of path parameters do not count."""
    return _by_route(file, file.content.get("paths") or {})


def webhooks_of(file: OpenApiFile) -> dict[str, Operation]:
    """Return the requests that a server sends on its own, by name and method."""
    return _by_route(file, file.content.get("webhooks") or {})


def callbacks_of(operation: Operation) -> dict[str, Operation]:
    """Return the requests that a server sends because of an operation, by name and method."""
    return {
        f"{name} {route}": callback
        for name, node in (operation.node.get("callbacks") or {}).items()
        for route, callback in _by_route(
            operation.file, resolved(operation.file, node) or {}
        ).items()
    }


def placeholders(route: str) -> list[str]:
    """Return the names of the path parameters of a route, in their order."""
    return _PLACEHOLDER.findall(route)


def base_path(file: OpenApiFile) -> str:
    """Return the path below which all servers of a document have its operations."""
    paths = {_split(address)[1] for address in _servers(file.content) or ("",)}
    return paths.pop().rstrip("/") if len(paths) == 1 else ""


def without_path(address: str) -> str:
    """Return the address of a server without its path."""
    return _split(address)[0]


def _split(address: str) -> tuple[str, str]:
    """Split the address of a server into its origin and its path."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address, ""
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else "/", parts.path


def _by_route(file: OpenApiFile, paths: Node) -> dict[str, Operation]:
    operations: dict[str, Operation] = {}
    for path, node in paths.items():
        item = resolved(file, node) or {}
        described = [(method, item.get(method)) for method in METHODS]
        described += list((item.get("additionalOperations") or {}).items())
        for method, operation in described:
            if not isinstance(operation, dict) or path.startswith("x-"):
                continue
            route = f"{method.upper()} {path}"
            shared = [*(item.get("parameters") or []), *(operation.get("parameters") or [])]
            key = _PLACEHOLDER.sub("{}", route)
            servers = _servers(operation) or _servers(item) or _servers(file.content) or ("/",)
            operations[route if key in operations else key] = Operation(
                file, route, operation, dict(_parameters(file, shared)), servers
            )
    return operations


def _parameters(file: OpenApiFile, nodes: list[Any]) -> Iterator[tuple[str, Node]]:
    for node in nodes:
        parameter = resolved(file, node) or {}
        name, place = str(parameter.get("name")), str(parameter.get("in"))
        name = name.lower() if place == "header" else name
        if place != "header" or name not in _IGNORED:
            yield f"{place} parameter {name}", parameter


def _servers(node: Node) -> tuple[str, ...]:
    """Return the addresses of all servers, with each value of their variables."""
    return tuple(
        dict.fromkeys(
            address.rstrip("/") or "/"
            for server in node.get("servers") or ()
            if isinstance(server, dict)
            for address in itertools.islice(_addresses(server), _MOST_ADDRESSES)
        )
    )


def _addresses(server: Node) -> Iterator[str]:
    variables = server.get("variables") or {}
    choices = [
        [(name, str(value)) for value in variable.get("enum") or [variable.get("default", "")]]
        for name, variable in variables.items()
    ]
    for values in itertools.product(*choices):
        address = str(server.get("url", "/"))
        for name, value in values:
            address = address.replace(f"{{{name}}}", value)
        yield address


def _scheme(file: OpenApiFile, name: str) -> str:
    """Describe a security scheme by what a client does; its name in the document does not count."""
    schemes = (file.content.get("components") or {}).get("securitySchemes") or {}
    scheme = resolved(file, schemes.get(name))
    if scheme is None:
        return json.dumps({"type": name})
    kind = scheme.get("type")
    described: dict[str, Any] = {"type": kind}
    if kind == "http":
        described["scheme"] = str(scheme.get("scheme", "")).lower()
    elif kind == "apiKey":
        at = scheme.get("in")
        key = str(scheme.get("name", ""))
        described |= {"in": at, "name": key.lower() if at == "header" else key}
    elif kind == "openIdConnect":
        described["at"] = scheme.get("openIdConnectUrl")
    elif kind == "oauth2":
        described["flows"] = {
            flow: {key: node[key] for key in _FLOW_ADDRESSES if key in node}
            for flow, node in (scheme.get("flows") or {}).items()
            if isinstance(node, dict)
        }
    return json.dumps(described, sort_keys=True)


def accepts(new: Login, old: Login) -> bool:
    """Return True if a client that logs in as before is let in."""
    return all(
        any(_is_scheme(scheme, former) and scopes <= granted for former, granted in old)
        for scheme, scopes in new
    )


def _is_scheme(new: str, old: str) -> bool:
    """Return True if a client of the old scheme does what the new one asks for."""
    first, second = json.loads(new), json.loads(old)
    flows, former = first.pop("flows", {}), second.pop("flows", {})
    return bool(first == second and former.items() <= flows.items())


def login_text(login: Login) -> str:
    """Return a way to log in as text."""
    return " and ".join(_scheme_text(json.loads(s), scopes) for s, scopes in login) or "nothing"


def _scheme_text(scheme: Node, scopes: frozenset[str]) -> str:
    words = [str(value) for value in scheme.values() if isinstance(value, str)]
    words += list(scheme.get("flows") or ())
    words += [f"with {', '.join(sorted(scopes))}"] if scopes else []
    return " ".join(sorted(words, key=lambda word: word != scheme.get("type")))
