"""Calls of the client by the names of its methods, and their comparison with raw HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, difference
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.http.reproduce import MASKED
from synth_pools.contract.results import Exchange, Outcome
from synth_pools.contract.rules.verdict import same_json

LIMIT = 60.0
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class SyncCaller:
    """Caller of the sync client's methods; a stream becomes the list of its events.

    Attributes:
        client: The client.
        lost: The exception that the client raises for a broken connection.
        slow: The exceptions for a call that takes too long.
    """

    client: Any
    lost: type[Exception]
    slow: tuple[type[Exception], ...]

    def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        result = _method(self.client, name)(*arguments, **options)
        return list(result) if name.endswith("events") else result


@dataclass(frozen=True, slots=True)
class AsyncCaller(SyncCaller):
    """Caller of the async client's methods, in one event loop."""

    runner: asyncio.Runner

    def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        async def call() -> Any:
            result = _method(self.client, name)(*arguments, **options)
            if name.endswith("events"):
                return [event async for event in result]
            return await result

        return self.runner.run(asyncio.wait_for(call(), LIMIT))


def _method(client: Any, name: str) -> Callable[..., Any]:
    for part in name.split("."):
        client = getattr(client, part)
    return client  # type: ignore[no-any-return]


def call_method(
    ctx: Context, call: Any, operation: str, name: str, *arguments: Any, **options: Any
) -> Any:
    """Call a method, and record an exception.

    Args:
        ctx: The context that gets the verdict.
        call: The caller, sync or async.
        operation: The operation of the method.
        name: The name of the method, with dots.
        *arguments: Its positional arguments.
        **options: Its keyword arguments.

    Returns:
        The result; ABSENT if the method raises.
    """
    try:
        return call_with_retry(call, name, *arguments, **options)
    except Exception as error:  # noqa: BLE001 - any exception is the client's answer
        got = f"{type(error).__name__}: {error}"[:300]
        status = getattr(error, "status_code", None)
        if status == 501:
            ctx.expect.inconclusive(operation, "the server answers 501", Outcome.NOT_OFFERED)
        elif status in (429, 503) or (status in (404, 502, 504) and "_container_" in operation):
            ctx.expect.inconclusive(operation, got)
        elif isinstance(error, call.slow) and not ctx.session.is_proof(LIMIT):
            ctx.expect.inconclusive(operation, f"{got}, and requests take long here")
        else:
            request = request_of(ctx, operation, arguments, got)
            demand = f"{name} of the client answers"
            ctx.expect.that(Expectation(operation, demand, request), False, got)
        return ABSENT


def call_with_retry(call: Any, name: str, *arguments: Any, **options: Any) -> Any:
    """Call a method, once more if the server has just closed an idle connection."""
    try:
        return call(name, *arguments, **options)
    except call.lost:
        return call(name, *arguments, **options)


def request_of(ctx: Context, operation: str, arguments: tuple[Any, ...], got: str) -> Response:
    """Build the request that the client should have sent, for the report."""
    described = ctx.session.document.operations[operation]
    names = re.findall(r"{(\w+)}", described.path)
    headers = [("authorization", MASKED)]
    body = None
    if len(arguments) > len(names):
        headers.append(("content-type", "application/json"))
        body = json.dumps(arguments[len(names)], ensure_ascii=False).encode()
    url = ctx.session.http.url(described.path, dict(zip(names, arguments, strict=False)))
    return Response(
        Exchange(described.method, url, tuple(headers), body, trouble=got, operation=operation)
    )


def expect_alike(
    ctx: Context, operation: str, name: str, raw: Response, expected: Any, actual: Any
) -> None:
    """Expect a method to return the same as raw HTTP; ABSENT is not judged."""
    if actual is ABSENT:
        return
    ctx.expect.that(
        Expectation(operation, f"{name} of the client answers what raw HTTP reads", raw),
        same_json(expected, actual),
        difference(expected, actual),
    )


def expect_listed(
    ctx: Context,
    call: Any,
    name: str,
    operation: str,
    ids: Mapping[str, str],
    ours: tuple[str, str],
) -> None:
    """Expect a method to list an item as raw HTTP does, though others change the list.

    Args:
        ctx: The context that gets the verdict.
        call: The caller, sync or async.
        name: The name of the method.
        operation: Its operation.
        ids: The path parameters.
        ours: The field by which the item is known, and its value there.
    """
    field, value = ours

    def matching(page: Any) -> list[Any]:
        items = at(page, "items")
        listed = items if isinstance(items, list) else []
        return [item for item in listed if at(item, field) == value]

    for _ in range(_ATTEMPTS):
        before = ctx.require(200, operation, ids, query={"limit": 100})
        actual = call_method(ctx, call, operation, name, *ids.values(), limit=100)
        if actual is ABSENT:
            return
        after = ctx.require(200, operation, ids, query={"limit": 100})
        # Newer items may move it to the next page between two of the requests.
        if same_json(matching(before.json), matching(after.json)):
            expect_alike(ctx, operation, name, after, matching(after.json), matching(actual))
            return
    ctx.expect.inconclusive(operation, "the list changes all the time")
