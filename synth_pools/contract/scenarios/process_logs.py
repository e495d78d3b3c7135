"""Scenarios of the lines that processes write, on servers that may start any program."""

from __future__ import annotations

from functools import partial
from typing import Any

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context, Judge
from synth_pools.contract.harness.processes import KitProcesses, active_process_pool, kit_processes
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import (
    becomes_true,
    eventually,
    ids_of,
    moment,
    read_until,
    run_rollout,
)
from synth_pools.contract.http.client import Response, at
from synth_pools.contract.http.process_container import ERROR_HELLO, HELLO
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import show

_LOGS = "get_pool_logs"
_LINES = [f"line {number}, ü🌍" for number in range(25)]
_LONG = 40_000
# The longest text of a line; then the number and width of more lines than many servers keep.
_LONGEST = 16_384
_MANY, _WIDTH = 220, 10_000
_PAGES = 100


@scenario(
    "process_logs.pages",
    _LOGS,
    clauses="""
        get_pool_logs#6ee7#85c6#7886, parameters ProcessNumber#c774#76fe,
        PoolLogPage.processes#ffd0, PoolLogLine.process#58b3, StartedProcess.process#49c7#26cb,
        PoolLogLine.attempt#2c29, parameters LogLimit#9a90, PoolLogPage.lines#0321,
        StartedProcess.exit_code#feb7#98e8#092b, PoolLogLine#cc9b#50ee#ee94,
        PoolLogPage.has_more#2046, StartedProcess#bf6e, StartedProcess.pid#4554#ff3d,
        parameters LogCursor#486d, StartedProcess.url#8083, StartedProcess.running#0400,
        StartedProcess.started_at#05cc, StartedProcess.ended_at#25c4, PoolLogLine.timestamp#4f64,
        PoolLogLine.text#0a55#ab08
    """,
    needs=("processes", "pool_logs"),
)
def process_logs_pages(ctx: Context) -> None:
    with kit_processes(ctx) as kit:
        pool = _active(ctx, kit, capacity=2)
        run_rollout(ctx, pool["pool_id"], env={"lines": _LINES})
        run_rollout(ctx, pool["pool_id"], env={"lines": ["a\x1b[31mb\x07c\td", "y" * _LONG]})
        # Lines of one process may be read before earlier lines of another one.
        _wait_for(ctx, pool, "yyy", _LINES[-1], *(HELLO, ERROR_HELLO) * 2)
        first_page = _page(ctx, pool)
        lines = first_page.at("lines")
        texts = [at(line, "text") for line in lines]
        judge = ctx.judge(_LOGS, first_page)
        judge.that("no line is missing", first_page.at("truncated") is False)
        judge.that("nothing follows", first_page.at("has_more") is False)
        for expected in (HELLO, ERROR_HELLO):
            judge.equal(f"how often {expected!r} came", 2, texts.count(expected))
        numbered = [text for text in texts if str(text).startswith("line ")]
        judge.equal("the lines of a rollout", _LINES, numbered)
        _judge_texts(judge, texts)
        _judge_lines(ctx, first_page, kit)
        read, pages = _walk(ctx, pool, 7)
        ctx.expect.equal(_LOGS, "the pages together", lines, read, pages[-1])
        for page in pages[:-1]:
            is_full = 1 <= len(page.list_at("lines")) <= 7 and page.at("has_more") is True
            ctx.judge(_LOGS, page).that("a page of limit lines that says has_more", is_full)
        rest = _page(ctx, pool, cursor=pages[-1].at("next_cursor"))
        ctx.judge(_LOGS, rest).field("lines", [], "lines after the last")
        for number in (0, 1, 2, 2_147_483_647):
            page = _page(ctx, pool, process=number)
            process_lines = [line for line in lines if at(line, "process") == number]
            ctx.judge(_LOGS, page).field("lines", process_lines, f"lines of {number}")
            places = ids_of(page.at("processes"), "process")
            expected_places = [number] if number < len(kit.started()) else []
            ctx.expect.equal(_LOGS, f"processes of {number}", expected_places, places, page)
        for cursor in ("nonsense", "log_0000000000000000_5", "ü" * 512):
            page = _page(ctx, pool, cursor=cursor)
            ctx.judge(_LOGS, page).field("lines", lines, "lines after a cursor of nobody's")
        _judge_archived(ctx, pool, lines)


@scenario(
    "process_logs.many",
    _LOGS,
    clauses="get_pool_logs#2cf8, PoolLogPage.truncated#77c6",
    needs=("processes", "pool_logs"),
)
def process_logs_many(ctx: Context) -> None:
    with kit_processes(ctx) as kit:
        pool = _active(ctx, kit)
        _wait_for(ctx, pool, HELLO)
        position = _page(ctx, pool).at("next_cursor")
        run_rollout(ctx, pool["pool_id"], env={"many": _MANY, "width": _WIDTH})
        _wait_for(ctx, pool, f"line {_MANY - 1} ")
        read, pages = _walk(ctx, pool, 1000, cursor=position)
        numbered = [str(at(line, "text")).split(" x")[0] for line in read]
        numbered = [text for text in numbered if text.startswith("line ")]
        expected = [f"line {number}" for number in range(_MANY)][-len(numbered) or _MANY :]
        ctx.expect.equal(_LOGS, "the last lines, without a gap", expected, numbered, pages[-1])
        truncated = [page.at("truncated") for page in pages]
        lost = [len(numbered) < _MANY, *(False for _ in pages[1:])]
        ctx.expect.equal(_LOGS, "truncated of each page", lost, truncated, pages[0])


def _judge_texts(judge: Judge, texts: list[Any]) -> None:
    is_plain = all(isinstance(text, str) and not _controls(text) for text in texts)
    judge.that("lines without control characters", is_plain)
    long = [text for text in texts if str(text).startswith("yyy")]
    is_met = len(long) == 1 and set(long[0]) == {"y"} and len(long[0]) <= _LONGEST
    lengths = str([len(text) for text in long])
    judge.that("one line, the rest of a longer one left out", is_met, lengths)


def _judge_lines(ctx: Context, page: Response, kit: KitProcesses) -> None:
    judge = ctx.judge(_LOGS, page)
    lines, processes = page.at("lines"), page.at("processes")
    judge.equal("the places, from 0 on", [0, 1], ids_of(processes, "process"))
    fields = {"attempt": 1, "running": True, "exit_code": None, "ended_at": None}
    for process in processes:
        for field, expected in fields.items():
            judge.equal(field, expected, at(process, field))
        start = moment(at(process, "started_at"))
        process_lines = [line for line in lines if at(line, "process") == at(process, "process")]
        stamps = [moment(at(line, "timestamp")) for line in process_lines]
        judge.that(
            "each line was read after its process was started",
            start is not None and all(stamp is not None and stamp >= start for stamp in stamps),
        )
        attempts = set(ids_of(process_lines, "attempt"))
        judge.that("attempt 1 of each line", attempts == {1}, str(attempts))
    pids = sorted(map(str, ids_of(processes, "pid")))
    started_pids = sorted(str(process.hello["pid"]) for process in kit.started())
    judge.equal("pid of each process", started_pids, pids)
    ports = {str(at(process, "url")).rsplit(":", 1)[-1] for process in processes}
    assigned = {str(process.hello["env"].get("PORT")) for process in kit.started()}
    judge.equal("the ports in url", sorted(assigned), sorted(ports))


def _judge_archived(ctx: Context, pool: dict[str, str], lines: list[Any]) -> None:
    """Expect an archived pool to keep its lines, and to show when its processes have ended."""
    ctx.require(200, "delete_pool", pool)

    def have_ended(page: Response) -> bool:
        return all(at(process, "running") is False for process in page.at("processes"))

    page, is_over = read_until(ctx, _LOGS, pool, have_ended)
    judge = ctx.judge(_LOGS, page)
    judge.that("no process of an archived pool runs", is_over, show(page.at("processes")))
    judge.field("status", "archived")
    judge.equal("the lines of before", lines, page.at("lines")[: len(lines)])
    for process in page.at("processes"):
        start, end = moment(at(process, "started_at")), moment(at(process, "ended_at"))
        is_met = not is_over or (start is not None and end is not None and start <= end)
        judge.that("ended_at of a process that ended", is_met, show(process, 300))


def _active(ctx: Context, kit: KitProcesses, **more: Any) -> dict[str, str]:
    pool = active_process_pool(ctx, kit.definition(), **more)
    capacity = more.get("capacity", 1)
    if not eventually(ctx, lambda: len(kit.started()) == capacity):
        # Another scenario judges whether the processes are started.
        note = f"{len(kit.started())} of {capacity} processes were started in time"
        raise InconclusiveError(Outcome.NOT_REACHED, _LOGS, note)
    return pool


def _wait_for(ctx: Context, pool: dict[str, str], *texts: str) -> None:
    """Wait until the server has read lines with these texts, each as often as it is repeated."""
    missing = set(texts)

    def is_complete() -> bool:
        read, _ = _walk(ctx, pool, 1000)
        lines = list(map(str, ids_of(read, "text")))
        missing.clear()
        missing.update(
            text for text in texts if sum(map(partial(_is, text), lines)) < texts.count(text)
        )
        return not missing

    is_there = becomes_true(ctx, _LOGS, is_complete)
    observed = f"{sorted(missing)} did not come"
    ctx.judge(_LOGS).that("each line that a process wrote", is_there, observed)


def _is(text: str, line: str) -> bool:
    """Return True if a line contains a text; the first line of a process must equal it."""
    return line == text if text == HELLO else text in line


def _walk(
    ctx: Context, pool: dict[str, str], limit: int, **query: Any
) -> tuple[list[Any], list[Response]]:
    """Read all pages; return their lines and the pages."""
    page = _page(ctx, pool, limit=limit, **query)
    pages = [page]
    while page.at("has_more") is True and len(pages) < _PAGES:
        page = _page(ctx, pool, limit=limit, cursor=page.at("next_cursor"))
        pages.append(page)
    return [line for part in pages for line in part.list_at("lines")], pages


def _page(ctx: Context, pool: dict[str, str], **query: Any) -> Response:
    return ctx.require(200, _LOGS, pool, query=query)


def _controls(text: str) -> bool:
    return any(ord(char) < 32 and char != "\t" for char in text)
