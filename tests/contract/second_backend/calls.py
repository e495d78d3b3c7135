"""One call of an operation, and the table of those that are offered."""

from __future__ import annotations

import json
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
    # By owner, operation, path and key: the body, and what was made with it.
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

    @property
    def keeps(self) -> Rules:
        return self.backend.keeps

    @property
    def store(self) -> Store:
        return self.backend.store

    def pool(self, pool_id: str | None = None) -> Pool:
        """The pool that the path names, or another.

        Raises:
            Problem: There is none, or it is another organisation's.
        """
        wanted = self.path["pool_id"] if pool_id is None else pool_id
        pool = self.store.pools.get(wanted)
        if pool is None or (pool.owner != self.owner and self.keeps("auth.others_hidden")):
            raise Problem("pool_not_found", f"Pool {wanted[:200]!r} does not exist.")
        return pool

    def changeable_pool(self) -> Pool:
        """The pool that the path names, which is not archived.

        Raises:
            Problem: There is none, or it is archived.
        """
        pool = self.pool()
        if pool.state == "archived" and self.keeps("pools.archived_never_changes"):
            raise Problem("pool_archived", f"Pool {pool.id!r} is archived.")
        return pool

    def task(self, pool: Pool) -> Task:
        """The task that the path names.

        Raises:
            Problem: The pool does not hold it.
        """
        wanted = self.path["task_id"]
        if wanted not in pool.tasks:
            raise Problem("task_not_found", f"Pool {pool.id!r} has no task {wanted[:200]!r}.")
        return pool.tasks[wanted]

    def rollout(self) -> Rollout:
        """The rollout that the path names.

        Raises:
            Problem: There is none, or not in that pool, or it is another organisation's.
        """
        wanted = self.path["rollout_id"]
        rollout = self.store.rollouts.get(wanted)
        here = self.pool() if "pool_id" in self.path else None
        if rollout is None or (
            rollout.pool.owner != self.owner and self.keeps("auth.others_hidden")
        ):
            raise Problem("rollout_not_found", f"Rollout {wanted[:200]!r} does not exist.")
        if here is not None and rollout.pool is not here and self.keeps("rollouts.own_pool"):
            raise Problem("rollout_not_found", f"Pool {here.id!r} has no rollout {wanted!r}.")
        return rollout

    def same_ids(self, *names: str, path: str | None = None) -> str | None:
        """The id that the body chooses, else that of the path.

        Raises:
            Problem: They are not equal.
        """
        given = [self.body[name] for name in names if self.body.get(name) is not None]
        given += [path] if path is not None else []
        if len(set(given)) > 1 and self.keeps("ids.must_agree"):
            raise Problem("id_mismatch", f"The ids {sorted(set(given))} are not equal.")
        return given[0] if given else None

    def listed(self, shown: list[dict[str, Any]], name: str, cursor: str | None = None) -> Response:
        """A list, under `items` and, unless it is to be minimal, under its older name."""
        body: dict[str, Any] = {"items": shown, "next_cursor": cursor}
        wishes = [wish.strip().lower() for wish in self.headers.get("prefer", "").split(",")]
        minimal = any(wish.split(";")[0].strip() == "return=minimal" for wish in wishes)
        twice = not minimal or not self.keeps("lists.minimal")
        if twice and self.keeps("lists.second_name"):
            body[name] = shown
        return answer(body)

    def page(self, found: list[Any], name: str, *scope: Any) -> Response:
        """One page of things with a number, newest first, and the cursor of the next."""
        limit = self.query["limit"]
        cursor = self.query.get("cursor")
        scope = (self.operation.name, self.owner, *scope)
        found = sorted(found, key=lambda one: -one.number)
        if not self.keeps("lists.newest_first"):
            found.reverse()
        if cursor is not None:
            issued = self.store.cursors.get(cursor)
            if issued is None or issued[0] != scope:
                found = [] if self.keeps("lists.strange_cursor") else found
            elif self.keeps("lists.cursor"):
                found = [one for one in found if one.number < issued[1]]
        if not self.keeps("lists.limit"):
            limit += 1
        shown, rest = found[:limit], found[limit:]
        following = None
        if rest and self.keeps("lists.next_cursor"):
            following = secrets.token_urlsafe(18)
            last = shown[-1].number - (0 if self.keeps("lists.every_item") else 1)
            self.store.cursors[following] = (scope, last)
        return self.listed([one.shown() for one in shown], name, following)

    def url(self, *parts: str) -> str:
        base = self.base if self.keeps("urls.of_this_host") else "http://localhost:1"
        return base + "".join(f"/{quote(part, safe='')}" for part in parts)


Handler = Callable[[Call], Awaitable[Response]]
HANDLERS: dict[str, Handler] = {}


def operation(*names: str) -> Callable[[Handler], Handler]:
    """Have a function answer the operations of these names."""

    def added(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return added


def answer(body: Any, status: int = 200, **headers: str) -> Response:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return Json(body, status_code=status, headers=said)


class Json(JSONResponse):
    """JSON that can hold every text, half of a surrogate pair too."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
