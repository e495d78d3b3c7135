"""Routing of raw paths to operations.

The segments are split before they are decoded: a `%2F` in an id stays part of the id and cannot
select another operation. Only the path of an artifact may have plain slashes.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from synth_pools.backend.domain.errors import method_not_allowed, not_found
from synth_pools.backend.domain.openapi import Operation

# Parameter that takes all remaining segments.
_TAKES_THE_REST = "artifact_path"


class _Node:
    __slots__ = ("children", "operations", "placeholder")

    def __init__(self) -> None:
        self.children: dict[bytes, _Node] = {}
        # Name of the path parameter at this position, and the node after it.
        self.placeholder: tuple[str, _Node] | None = None
        self.operations: dict[str, Operation] = {}


class Router:
    """Tree of operations by path segments."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            self._add(operation)

    def find(self, method: str, raw_path: bytes) -> tuple[Operation, dict[str, str]]:
        """Find the operation of a method and a path.

        Args:
            method: The request's method.
            raw_path: The path as it was sent, not decoded.

        Returns:
            The operation, and its path parameters, decoded.

        Raises:
            ApiError: 404 if there is no such path, 405 if the path has other methods.
        """
        node: _Node | None = self._root
        values: dict[str, str] = {}
        segments = raw_path.split(b"/")[1:]
        for index, segment in enumerate(segments):
            assert node is not None  # noqa: S101 - the loop ends once it is None
            child = node.children.get(segment)
            if child is None and node.placeholder is not None and segment:
                name, child = node.placeholder
                takes_rest = name == _TAKES_THE_REST
                if takes_rest:
                    segment = b"/".join(segments[index:])
                try:
                    values[name] = unquote_to_bytes(segment).decode("utf-8")
                except UnicodeDecodeError:
                    child = None
                if takes_rest:
                    node = child
                    break
            node = child
            if node is None:
                break
        if node is None or not node.operations:
            raise not_found("There is nothing at this path.")
        operation = node.operations.get(method)
        if operation is None:
            raise method_not_allowed(method, sorted(node.operations))
        return operation, values

    def _add(self, operation: Operation) -> None:
        node = self._root
        for segment in operation.path.split("/")[1:]:
            if segment.startswith("{") and segment.endswith("}"):
                name = segment[1:-1]
                if node.placeholder is None:
                    node.placeholder = (name, _Node())
                existing, node = node.placeholder
                if existing != name:
                    raise ValueError(
                        f"{operation.path}: this place is called {existing!r} elsewhere"
                    )
            else:
                node = node.children.setdefault(segment.encode("ascii"), _Node())
        node.operations[operation.method] = operation
