"""One call of an operation, and the table of offered operations."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from tests.contract.second_backend.containers import Containers
from tests.contract.second_backend.document import Operation
from tests.contract.second_backend.problems import Problem
from tests.contract.second_backend.rules import Rules
from tests.contract.second_backend.runner import Runner
from tests.contract.second_backend.state import Pool, Rollout, Store, Task


@dataclass
class Backend:
    """All parts of a running backend."""

    keeps: Rules
    store: Store
    containers: Containers
    runner: Runner
    # The optional features that it does not offer.
    lacking: frozenset[str] = frozenset()
    # Body and created rollouts, by owner, operation, path and key.
    keys: dict[tuple[Any, ...], tuple[Any, list[Rollout | None]]] = field(default_factory=dict)


@dataclass
class Call:
    backend: Backend
    operation: Operation
    owner: str
    base: str
    path: dict[str, str]
    query: dict[str, Any]
    headers: dict[str, str]
    body: Any
    raw: bytes
    raw_query: str

    @property
    def keeps(self) -> Rules:
        return self.backend.keeps

    @property
    def store(self) -> Store:
        return self.backend.store

    def offers(self, feature: str) -> bool:
        return feature not in self.backend.lacking

    def pool(self, pool_id: str | None = None) -> Pool:
        """Return the pool of the path, or another.

        Raises:
            Problem: It does not exist, or belongs to another organisation.
        """
        wanted_id = self.path["pool_id"] if pool_id is None else pool_id
        pool = self.store.pools.get(wanted_id)
        if pool is None or (pool.owner != self.owner and self.keeps("auth.others_hidden")):
            raise Problem("pool_not_found", f"Pool {wanted_id[:200]!r} does not exist.")
        return pool

    def changeable_pool(self) -> Pool:
        """Return the pool of the path if it is not archived.

        Raises:
            Problem: It does not exist, or is archived.
        """
        pool = self.pool()
        if pool.state == "archived" and self.keeps("pools.archived_never_changes"):
            raise Problem("pool_archived", f"Pool {pool.id!r} is archived.")
        return pool

    def task(self, pool: Pool) -> Task:
        """Return the task of the path.

        Raises:
            Problem: The pool does not hold it.
        """
        task_id = self.path["task_id"]
        if task_id not in pool.tasks:
            raise Problem("task_not_found", f"Pool {pool.id!r} has no task {task_id[:200]!r}.")
        return pool.tasks[task_id]

    def rollout(self) -> Rollout:
        """Return the rollout of the path.

        Raises:
            Problem: It does not exist, or belongs to another pool or organisation.
        """
        rollout_id = self.path["rollout_id"]
        rollout = self.store.rollouts.get(rollout_id)
        here = self.pool() if "pool_id" in self.path else None
        if rollout is None or (
            rollout.pool.owner != self.owner and self.keeps("auth.others_hidden")
        ):
            raise Problem("rollout_not_found", f"Rollout {rollout_id[:200]!r} does not exist.")
        if here is not None and rollout.pool is not here and self.keeps("rollouts.own_pool"):
            raise Problem("rollout_not_found", f"Pool {here.id!r} has no rollout {rollout_id!r}.")
        return rollout

    def same_ids(self, *names: str, path: str | None = None) -> str | None:
        """Return the id that the body chooses, else that of the path.

        Raises:
            Problem: They are not equal.
        """
        ids = [self.body[name] for name in names if self.body.get(name) is not None]
        ids += [path] if path is not None else []
        if len(set(ids)) > 1 and self.keeps("ids.must_agree"):
            raise Problem("id_mismatch", f"The ids {sorted(set(ids))} are not equal.")
        return ids[0] if ids else None

    def listed(self, items: list[dict[str, Any]], name: str, cursor: str | None = None) -> Response:
        """Answer with a list, under `items` and, unless minimal, also under its older name."""
        body: dict[str, Any] = {"items": items, "next_cursor": cursor}
        header = self.headers.get("prefer", "").lower()
        wishes = [re.sub(r'[\s"]', "", wish.split(";")[0]) for wish in header.split(",")]
        among = wishes if self.keeps("lists.minimal_among_others") else [header]
        minimal = "return=minimal" in among
        twice = not minimal or not self.keeps("lists.minimal")
        if twice and self.keeps("lists.second_name"):
            body[name] = items
        response = answer(body)
        if self.keeps("lists.vary"):
            response.headers["Vary"] = "Accept-Encoding, Prefer"
        if minimal and self.keeps("lists.preference_applied"):
            response.headers["Preference-Applied"] = "return=minimal"
        return response

    def page(
        self,
        items: list[Any],
        name: str,
        *scope: Any,
        key: Callable[[Any], Any] = lambda item: item.number,
        is_ascending: bool = False,
    ) -> Response:
        """Answer with one page of items, the largest key first, and the cursor of the next."""
        limit = self.query["limit"]
        cursor = self.query.get("cursor")
        scope = (self.operation.name, self.owner, *scope)
        items = sorted(items, key=key, reverse=not is_ascending)
        if not self.keeps("lists.newest_first"):
            items.reverse()
        if cursor is not None:
            issued = self.store.cursors.get(cursor)
            if issued is None or issued[0] != scope:
                items = [] if self.keeps("lists.strange_cursor") else items
            elif self.keeps("lists.cursor"):
                passed = issued[1]
                items = [
                    item
                    for item in items
                    if (key(item) > passed if is_ascending else key(item) < passed)
                ]
        if not self.keeps("lists.limit"):
            limit += 1
        page_items, rest = items[:limit], items[limit:]
        following = None
        if rest and self.keeps("lists.next_cursor"):
            following = secrets.token_urlsafe(18)
            last = page_items[-1] if self.keeps("lists.every_item") else rest[0]
            self.store.cursors[following] = (scope, key(last))
        return self.listed([item.shown() for item in page_items], name, following)

    def url(self, *parts: str) -> str:
        base = self.base if self.keeps("urls.of_this_host") else "http://localhost:1"
        return base + "".join(f"/{quote(part, safe='')}" for part in parts)


Handler = Callable[[Call], Awaitable[Response]]
HANDLERS: dict[str, Handler] = {}


def operation(*names: str) -> Callable[[Handler], Handler]:
    """Register a function as the handler of these operations."""

    def added(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return added


def answer(body: Any, status: int = 200, **headers: str) -> Response:
    response_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Json(body, status_code=status, headers=response_headers)


class Json(JSONResponse):
    """JSON response that can hold every text, even half of a surrogate pair."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
