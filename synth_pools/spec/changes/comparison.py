"""Comparison of two versions of a contract, operation by operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from synth_pools.spec.changes.bodies import BodyComparison
from synth_pools.spec.changes.operations import (
    Operation,
    accepts,
    base_path,
    callbacks_of,
    login_text,
    operations_of,
    placeholders,
    webhooks_of,
    without_path,
)
from synth_pools.spec.changes.source import OpenApiFile
from synth_pools.spec.changes.tables import (
    compare_error_codes,
    compare_names,
    read_scopes,
    read_tables,
    rows_told,
)
from synth_pools.spec.changes.texts import compare_texts
from synth_pools.spec.changes.verdicts import OPERATION, REQUEST, RESPONSE, ApiChange

_RETRY = ("never", "with-id", "with-key", "always")


def compare_documents(old: OpenApiFile, new: OpenApiFile) -> tuple[ApiChange, ...]:
    """List the changes from one document to another: the heaviest first, else in their order."""
    return _Comparison(old, new).run()


class _Change(NamedTuple):
    """Change without its operations: many operations use the same schema."""

    kind: str
    direction: str
    place: str
    text: str
    ids: tuple[str, ...] = ()


class _Comparison:
    def __init__(self, old: OpenApiFile, new: OpenApiFile) -> None:
        self._old = old
        self._new = new
        self._changes: dict[_Change, dict[str, None]] = {}
        self._bodies = BodyComparison(old, new)
        self._operations = operations_of(old), operations_of(new)
        self._tables = read_tables(old), read_tables(new)
        self._scopes = tuple(map(read_scopes, self._tables))

    def run(self) -> tuple[ApiChange, ...]:
        self._compare_routes(*self._routes())
        self._compare_webhooks(webhooks_of(self._old), webhooks_of(self._new), "webhook", "")
        self._compare_codes()
        self._compare_names()
        changes = [
            ApiChange(key.kind, key.direction, key.place, key.text, tuple(names), key.ids)
            for key, names in self._changes.items()
        ]
        return tuple(sorted(changes, key=lambda change: (-change.level, change.is_text)))

    def _add(
        self,
        kind: str,
        direction: str,
        place: str,
        text: str,
        operation: str,
        ids: tuple[str, ...] = (),
    ) -> None:
        names = self._changes.setdefault(_Change(kind, direction, place, text, ids), {})
        if operation:
            names[operation] = None

    def _routes(self) -> tuple[dict[str, Operation], dict[str, Operation]]:
        """Return the operations by route; a path that servers and routes share counts once."""
        old, new = self._operations
        bases = base_path(self._old), base_path(self._new)
        self._has_moved_base = False
        if bases[0] != bases[1]:
            joined = [
                {key.replace(" ", f" {base}", 1): operation for key, operation in routes.items()}
                for base, routes in zip(bases, (old, new), strict=True)
            ]
            if len(joined[0].keys() & joined[1].keys()) > len(old.keys() & new.keys()):
                self._has_moved_base = True
                return joined[0], joined[1]
        return old, new

    def _compare_routes(self, old: Mapping[str, Operation], new: Mapping[str, Operation]) -> None:
        removed = [key for key in old if key not in new]
        added = [key for key in new if key not in old]
        for key in removed:
            name, route = old[key].name, old[key].route
            moved = next((candidate for candidate in added if new[candidate].name == name), "")
            if not moved:
                self._add("operation-removed", OPERATION, route, "removed", name)
                continue
            added.remove(moved)
            self._add("operation-moved", OPERATION, route, f"now {new[moved].route}", name)
            self._compare_operations(old[key], new[moved])
        for key in added:
            self._add("operation-added", OPERATION, new[key].route, "added", new[key].name)
        for key, operation in old.items():
            if key in new:
                self._compare_operations(operation, new[key])

    def _compare_operations(self, old: Operation, new: Operation) -> None:
        name, route = new.name, new.route

        def add(kind: str, text: str, place: str = route) -> None:
            self._add(kind, OPERATION, place, text, name)

        if old.id and old.id != new.id:
            add("operation-renamed", f"operationId {old.id} -> {new.id or 'none'}")
        if new.node.get("deprecated") is True and old.node.get("deprecated") is not True:
            add("operation-deprecated", "deprecated")
        tags = [(operation.node.get("tags") or [""])[0] for operation in (old, new)]
        if tags[0] != tags[1]:
            add("tag-changed", f"tag {tags[0]} -> {tags[1]}")
        before, after = (str(operation.node.get("x-retry", "never")) for operation in (old, new))
        if before != after and before in _RETRY and after in _RETRY:
            weaker = _RETRY.index(after) < _RETRY.index(before)
            add(
                "retry-weakened" if weaker else "retry-strengthened", f"x-retry {before} -> {after}"
            )
        feature, new_feature = (str(node.get("x-feature", "")) for node in (old.node, new.node))
        if feature != new_feature:
            kind = "operation-made-optional" if new_feature else "operation-made-mandatory"
            add(kind, f"x-feature {feature or 'none'} -> {new_feature or 'none'}")
        renamed = _renamed_placeholders(old, new)
        for former, later in renamed.items():
            add("path-parameter-renamed", f"{former} -> {later}")
        self._compare_servers(old, new)
        self._compare_logins(old, new)
        self._compare_scopes(old, new)
        for change in self._bodies.compare(old, new, REQUEST, RESPONSE, renamed):
            self._add(*change, name)
        self._compare_webhooks(callbacks_of(old), callbacks_of(new), "callback", name)

    def _compare_webhooks(
        self, old: Mapping[str, Operation], new: Mapping[str, Operation], word: str, owner: str
    ) -> None:
        """Compare requests that servers send: clients answer them."""
        for key in dict.fromkeys((*old, *new)):
            place = f"{word} {key}"
            if key not in new:
                self._add("webhook-removed", OPERATION, place, "removed", owner)
            elif key not in old:
                self._add("webhook-added", OPERATION, place, "added", owner)
            else:
                for change in self._bodies.compare(old[key], new[key], RESPONSE, REQUEST, {}):
                    kind, direction, where, text = change
                    is_component = where[:1].isupper()
                    where = where if is_component else f"{place} {where}"
                    self._add(kind, direction, where, text, owner or new[key].id)

    def _compare_servers(self, old: Operation, new: Operation) -> None:
        before, after = old.servers, new.servers
        if self._has_moved_base:
            before, after = (tuple(map(without_path, servers)) for servers in (before, after))
        for address in before:
            if address not in after:
                text = f"{address} removed"
                self._add("server-removed", OPERATION, "servers", text, new.name)
        for address in after:
            if address not in before:
                self._add("server-added", OPERATION, "servers", f"{address} added", new.name)

    def _compare_logins(self, old: Operation, new: Operation) -> None:
        before, after = old.logins, new.logins
        for login in before:
            if not any(accepts(later, login) for later in after):
                choices = " or ".join(map(login_text, after))
                text = f"{login_text(login)} is no longer enough, but {choices}"
                self._add("key-demanded", OPERATION, "security", text, new.name)
        for login in after:
            if not any(accepts(former, login) for former in before):
                kind = "login-added" if login else "key-no-longer-demanded"
                text = f"{login_text(login)} is enough"
                self._add(kind, OPERATION, "security", text, new.name)

    def _compare_scopes(self, old: Operation, new: Operation) -> None:
        """Compare the scopes that `x-scope` names, or the table of scopes for all others."""
        before, after = (
            str(operation.node.get("x-scope") or scopes.default(operation.route))
            for operation, scopes in zip((old, new), self._scopes, strict=True)
        )
        if before == after or "x-scope" not in {**old.node, **new.node}:
            return
        raised = after and after not in self._scopes[1].included(before)
        kind = "scope-raised" if raised else "scope-lowered"
        text = f"x-scope {before or 'none'} -> {after or 'none'}"
        self._add(kind, OPERATION, new.route, text, new.name)

    def _compare_codes(self) -> None:
        """Report changes in tables that no enumeration has reported, then all other words."""
        reported = {(change.kind, change.text.partition(" ")[0]) for change in self._changes}
        values = {text for kind, text in reported if kind == "enum-value-removed"}
        names = {operation.name for operation in self._operations[1].values()}
        tables = self._tables
        codes = [*compare_error_codes(*tables), *compare_names(*tables)]
        for code in codes:
            subject = code.text.partition(" ")[0]
            if (code.kind, subject) not in reported and subject not in values:
                concerned = [name for name in code.names if name in names]
                for name in concerned or [""]:
                    self._add(code.kind, RESPONSE, code.place, code.text, name)
        rows = rows_told(tables[0], tables[1], codes)
        for change in compare_texts(self._old, self._new, rows):
            self._add(change.kind, OPERATION, change.place, change.text, "", change.ids)

    def _compare_names(self) -> None:
        """Report removed components: generated models are named after them."""
        before, after = (
            (file.content.get("components") or {}).get("schemas") or {}
            for file in (self._old, self._new)
        )
        for name in before:
            if name not in after:
                self._add("schema-renamed", OPERATION, name, "no schema of this name any more", "")


def _renamed_placeholders(old: Operation, new: Operation) -> dict[str, str]:
    """Return the new names of path parameters by their old ones, by their places in the path."""
    before, after = placeholders(old.route), placeholders(new.route)
    if len(before) != len(after):
        return {}
    return {a: b for a, b in zip(before, after, strict=True) if a != b}
