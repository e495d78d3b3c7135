"""What a method of the client answers, and whether that is what raw HTTP reads."""

from __future__ import annotations

import json
import re
from typing import Any

from synth_pools.contract.harness.context import Context, difference, same
from synth_pools.contract.http.client import ABSENT, Answer
from synth_pools.contract.http.reproduce import MASKED
from synth_pools.contract.results import Exchange, Outcome


def called(
    ctx: Context, call: Any, operation: str, name: str, *arguments: Any, **options: Any
) -> Any:
    """What the client answers; ABSENT where it raises, which is told here."""
    try:
        return connected(call, name, *arguments, **options)
    except Exception as error:  # noqa: BLE001 - whatever the client raises is its answer
        got = f"{type(error).__name__}: {error}"[:300]
        status = getattr(error, "status_code", None)
        if status == 501:
            ctx.lack(operation, "the server answers 501", Outcome.NOT_OFFERED)
        elif status in (429, 503) or (status in (404, 502, 504) and "_container_" in operation):
            ctx.lack(operation, got)
        else:
            demand = f"{name} of the client answers"
            ctx.judge(operation, False, demand, got, request_of(ctx, operation, arguments, got))
        return ABSENT


def connected(call: Any, name: str, *arguments: Any, **options: Any) -> Any:
    """A call that is made again where the server has just closed an idle connection."""
    try:
        return call(name, *arguments, **options)
    except call.lost:
        return call(name, *arguments, **options)


def request_of(ctx: Context, operation: str, arguments: tuple[Any, ...], got: str) -> Answer:
    """The request that the client should have sent, to be tried without it."""
    known = ctx.world.document.operations[operation]
    names = re.findall(r"{(\w+)}", known.path)
    headers = [("authorization", MASKED)]
    body = None
    if len(arguments) > len(names):
        headers.append(("content-type", "application/json"))
        body = json.dumps(arguments[len(names)], ensure_ascii=False).encode()
    url = ctx.world.probe.url(known.path, dict(zip(names, arguments, strict=False)))
    return Answer(
        Exchange(known.method, url, tuple(headers), body, trouble=got, operation=operation)
    )


def judge_alike(
    ctx: Context, operation: str, name: str, raw: Answer, wanted: Any, came: Any
) -> None:
    if came is ABSENT:
        return
    ctx.judge(
        operation,
        same(wanted, came),
        f"{name} of the client answers what raw HTTP reads",
        difference(wanted, came),
        raw,
    )
