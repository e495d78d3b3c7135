"""Subject files: which operations make, read, list, change, end and delete the resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from synth_pools.contract.document import Document, Operation
from synth_pools.contract.exceptions import StopScenarioError, UnjudgeableError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.samples import smallest_body
from synth_pools.contract.harness.waits import PageForm
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.spec import load_spec

_CREATED = (200, 201, 202)
_IN_BODY = "$response.body#/"


@dataclass(frozen=True, slots=True)
class Item:
    """A resource that a scenario made.

    Attributes:
        id: Its id.
        ids: The ids that the paths of its operations name.
        response: The answer to its creation.
    """

    id: str
    ids: Mapping[str, str]
    response: Response | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Roles of operations for one kind of resource; "" for a role that no operation has.

    Attributes:
        name: Its name, the last part of the ids of its scenarios.
        create: Makes one.
        body: The body of a creation; "{name}" in it becomes a name that nothing else has.
        id: The place of the id in the answer, as in "job.id".
        ids: Fixed ids of its paths, as in {tenant: default}.
        parent: The resource whose ids its paths need, too.
        parameter: The path parameter of its id; the last one of its operations by default.
        read: Reads one.
        at: The place of the resource in the answer of `read`; "" for the whole.
        list: Lists them.
        items: The place of the list in a page; "" for the whole.
        item_id: The place of the id in an item; that of `id` by default.
        query: The query of every page.
        cursor: The parameter that continues a list.
        next: The place of its next value in a page.
        limit: The parameter with the size of a page.
        newest: The field with the time by which the list is newest first; "" for another order.
        change: Merges a patch into one (RFC 7396).
        merges: The field, an object of any fields, that patches are tried with.
        replace: Replaces one.
        delete: Deletes one.
        deleted: The state of one that is deleted; "" if it is unknown from then on.
        cancel: Ends one.
        cancel_body: The body of that.
        state: The field with the state.
        cancelled: The states that one may have soon after it was ended.
        final: The states that never change.
        idempotency: The header with the key of a creation that may be repeated.
        repeated: The status of a creation with a used key; that of the first by default.
        conflict: The status of a used key with another body; 0 if that is not tried.
        download: Reads bytes, also ranges of them.
        events: Streams events.
    """

    name: str = ""
    create: str = ""
    body: Any = None
    id: str = "id"
    ids: Mapping[str, str] = field(default_factory=dict)
    parent: str = ""
    parameter: str = ""
    read: str = ""
    at: str = ""
    list: str = ""
    items: str = "items"
    item_id: str = ""
    query: Mapping[str, Any] | None = None
    cursor: str = ""
    next: str = ""
    limit: str = ""
    newest: str = ""
    change: str = ""
    merges: str = ""
    replace: str = ""
    delete: str = ""
    deleted: str = ""
    cancel: str = ""
    cancel_body: Any = ABSENT
    state: str = ""
    cancelled: tuple[str, ...] = ()
    final: tuple[str, ...] = ()
    idempotency: str = ""
    repeated: int = 0
    conflict: int = 0
    download: str = ""
    events: str = ""

    @property
    def form(self) -> PageForm:
        """The form of the pages of its list."""
        return PageForm(self.items, self.cursor or "cursor", self.next or "next_cursor")

    def show(self, response: Response) -> Any:
        """Return the resource in an answer; ABSENT if it has none."""
        return self.view_in(response.json)

    def view_in(self, answer: Any) -> Any:
        """Return the resource in the JSON of an answer; ABSENT if it has none."""
        value = at_place(answer, self.at)
        return value if isinstance(value, dict) else ABSENT

    def id_of(self, item: Any) -> Any:
        """Return the id of an item of a list."""
        return at_place(item, self.item_id or self.id.rpartition(".")[2])


# Roles that are operations, the creation first.
OPERATION_ROLES = (
    *("create", "read", "list", "change", "replace", "delete", "cancel", "download", "events"),
)


def at_place(value: Any, path: str) -> Any:
    """Return the value at a dotted path, as in "job.id"; the whole for ""."""
    return at(value, *path.split(".")) if path else value


def creation_body(ctx: Context, resource: Resource) -> Any:
    """Return a body that makes one, with a name of its own."""
    body = ABSENT if resource.body is None else resource.body
    return _filled(body, ctx.resources.name())


def created_item(
    ctx: Context, resource: Resource, ids: Mapping[str, str], response: Response
) -> Item:
    """Return the resource of an answer; the run removes it at its end.

    Raises:
        StopScenarioError: The answer has no id.
    """
    identifier = at_place(response.json, resource.id)
    judge = ctx.judge(resource.create, response)
    is_id = isinstance(identifier, str | int) and not isinstance(identifier, bool)
    if not judge.that(f"an id at {resource.id}", is_id, str(identifier)):
        raise StopScenarioError
    item = Item(str(identifier), {**ids, resource.parameter: str(identifier)}, response)
    end = resource.delete or resource.cancel
    if end and ctx.session.document.is_foreign:
        body = ABSENT if resource.delete else resource.cancel_body
        ctx.session.ends[tuple(item.ids.items())] = (end, body)
    return item


def make(ctx: Context, subject: Mapping[str, Resource], resource: Resource) -> Item:
    """Make a resource, in a new parent if it has one."""
    ids = parent_ids(ctx, subject, resource)
    body = creation_body(ctx, resource)
    response = ctx.require(_CREATED, resource.create, ids, json=body)
    return created_item(ctx, resource, ids, response)


def parent_ids(
    ctx: Context, subject: Mapping[str, Resource], resource: Resource
) -> Mapping[str, str]:
    """Return the fixed ids, and those of a new parent."""
    parent = make(ctx, subject, subject[resource.parent]).ids if resource.parent else {}
    return {**resource.ids, **parent}


def linked_subject(document: Document) -> dict[str, Resource]:
    """Return the resources that the links of a document tell of, by the operation that makes one.

    The links lead from the creation to the operations that read, delete and stream what it made.
    """
    subject: dict[str, Resource] = {}
    for operation in document.operations.values():
        roles: dict[str, Any] = {}
        for target, parameters in document.links(operation):
            texts = [text for text in parameters.values() if text.startswith(_IN_BODY)]
            # Ids of parents are unknown here.
            if len(texts) != 1 or target.id_names != tuple(parameters):
                continue
            role = "delete" if target.method == "DELETE" else "events" if target.streams else "read"
            if target.method in ("GET", "DELETE"):
                roles |= {"id": texts[0].removeprefix(_IN_BODY).replace("/", ".")}
                roles |= {role: target.id, "parameter": target.id_names[0]}
        if operation.method == "POST" and "read" in roles and not operation.id_names:
            name, body = operation.id, named_body(document, operation)
            subject[name] = replace(Resource(name=name, create=name, body=body), **roles)
    return subject


def named_body(document: Document, operation: Operation, body: Any = None) -> Any:
    """Return the body of a creation, by default the smallest, with a place for its own name."""
    if body is None:
        body = smallest_body(document, operation)
    if isinstance(body, dict) and isinstance(body.get("name"), str):
        return {**body, "name": "{name}"}
    return None if body is ABSENT else body


@cache
def own_subject() -> Mapping[str, Resource]:
    """Return the resources of the Container Pools API."""
    file = Path(__file__).with_name("pools.yaml")
    return subject_of(file, read_yaml(file), Document(load_spec()))


def read_yaml(file: Path) -> Any:
    """Return the content of a file with roles.

    Raises:
        UnjudgeableError: It cannot be read.
    """
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _no_subject(file, error) from None


def subject_of(file: Path, content: Any, document: Document) -> dict[str, Resource]:
    """Return the resources of a subject file.

    Args:
        file: The file.
        content: Its content.
        document: The document; operations are named by id, or by method and path.

    Raises:
        UnjudgeableError: It is no subject file, or names what there is not.
    """
    try:
        raw = dict(content["resources"])
    except (TypeError, KeyError, ValueError) as error:
        raise _no_subject(file, error) from None
    subject = {name: _resource(file, document, name, roles) for name, roles in raw.items()}
    for resource in subject.values():
        if resource.parent and resource.parent not in subject:
            raise UnjudgeableError(f"{file}: {resource.name}: no resource is {resource.parent!r}")
    return subject


def _no_subject(file: Path, error: Exception) -> UnjudgeableError:
    line = " ".join(str(error).split())[:200]
    return UnjudgeableError(f"{file} is no subject file: {line}")


def _resource(file: Path, document: Document, name: str, roles: Any) -> Resource:
    if not isinstance(roles, dict):
        raise UnjudgeableError(f"{file}: {name}: write its roles, as in `create: POST /{name}`")
    names = {role.name for role in fields(Resource)} - {"name"}
    if unknown := sorted(map(str, roles.keys() - names)):
        raise UnjudgeableError(
            f"{file}: {name}: no role is {unknown[0]!r}; there are {', '.join(sorted(names))}"
        )
    values: dict[str, Any] = {**roles, "name": name}
    for role in ("cancelled", "final"):
        value = values.get(role, ())
        values[role] = (value,) if isinstance(value, str) else tuple(value)
    for role in OPERATION_ROLES:
        if not values.get(role):
            continue
        operation = document.every.named(values[role])
        if operation is None:
            raise UnjudgeableError(f"{file}: {name}: {role}: no operation is {values[role]!r}")
        values[role] = operation.id
    for role in OPERATION_ROLES[1:]:
        last = document.every[values[role]].id_names[-1:] if values.get(role) else ()
        if last and role != "list":
            values.setdefault("parameter", last[0])
    if not values.get("create") or not values.get("parameter"):
        raise UnjudgeableError(f"{file}: {name}: give `create`, and `read` or another role")
    return Resource(**values)


def _filled(body: Any, name: str) -> Any:
    if isinstance(body, dict):
        return {key: _filled(value, name) for key, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, name) for value in body]
    return body.replace("{name}", name) if isinstance(body, str) else body
