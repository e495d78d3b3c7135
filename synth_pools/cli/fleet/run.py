"""`synth-pools run`: rollouts for many seeds, resumable, with a summary."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import CommandError, ExitStatus, reported_errors
from synth_pools.cli.files import check_writable, is_stdout, is_stream
from synth_pools.cli.fleet.looks import Looks
from synth_pools.cli.fleet.options import RunOptions, options_of_run
from synth_pools.cli.fleet.readiness import has_own_processes, is_of_container, usable_pool
from synth_pools.cli.fleet.requests import RunRequests
from synth_pools.cli.fleet.results import ResultFile
from synth_pools.cli.fleet.summary import RunSummary
from synth_pools.cli.operations.bodies import read_object
from synth_pools.cli.operations.commands import complete_places
from synth_pools.cli.output import has_colour, say, width, write_text
from synth_pools.runs.recorded import highest_request, request_digest, result_row
from synth_pools.runs.rows import COMPLETED, UsageSums, finite_number, read_rows

if TYPE_CHECKING:
    from synth_pools import FleetProgress, RolloutOutcome

_LINE_SECONDS = 10.0
_REDRAW_SECONDS = 0.1


@click.command("run")
@click.argument("pool_id", metavar="POOL", shell_complete=complete_places)
@click.argument("body", nargs=-1, metavar="[BODY]...")
@options_of_run
@connection_options
def run_seeds(
    pool_id: str, body: tuple[str, ...], options: RunOptions, connection: ServiceOptions
) -> int:
    """Run a rollout for each seed on a pool, and print a summary.

    BODY has the fields of all requests, as `synth-pools rollouts create` takes them. The first ^C
    starts no further rollouts and waits for the running ones; the second cancels these. With
    --journal the same command continues. Exit status: 0 all completed, 1 some did not or have no
    result, or the mean reward is too low, 3 the budget is reached, 130 interrupted.

    \b
    Examples:
      synth-pools run docs-example-pool --seeds 0..9 --env reward=0.5
      synth-pools run docs-example-pool --seeds 0..9 --fail-under 0.6 -o json
    """
    if options.tasks == ("all",):
        pool = usable_pool(connection, pool_id)
        options = replace(options, tasks=_tasks_of(connection, pool["id"]))
        return carry_out(options, options.requests(body), pool, connection)
    requests = options.requests(body)
    return carry_out(options, requests, usable_pool(connection, pool_id), connection)


def carry_out(
    options: RunOptions, requests: RunRequests, pool: dict[str, Any], connection: ServiceOptions
) -> int:
    """Run requests on a pool that exists, and print a summary; return the exit status.

    Args:
        options: The options.
        requests: The requests.
        pool: The pool; where it has its definition, too, advice may be about its processes.
        connection: The service that has it.

    Raises:
        CommandError: The file of the results has those of another run, or the service is away.
    """
    pool_id = pool["id"]
    options = replace(options, name=requests.name)
    prices = None if options.prices is None else read_object(options.prices)
    with contextlib.closing(ResultFile(options.out)) as results:
        results.former = former = _former_rows(options, requests, pool_id)
        indices = _chosen(requests, former, options.only)
        looks = Looks(requests, options.until_sure)
        running = _Run(requests, indices, pool_id, former, results, RunSummary(by=options.by))
        handler = _WarningHandler(running)
        logging.getLogger("synth_pools").addHandler(handler)
        try:
            # The second ^C cancels it.
            with contextlib.suppress(asyncio.CancelledError), reported_errors():
                asyncio.run(
                    running.go(
                        connection,
                        looks,
                        max_in_flight=options.in_flight,
                        retries=options.retries,
                        journal=options.journal,
                        prices=prices,
                        on_budget=options.on_budget,
                        max_seconds=options.max_seconds,
                        **_remaining_budget(options, former),
                        **options.fields(),
                    )
                )
        finally:
            logging.getLogger("synth_pools").removeHandler(handler)
            running.end_line()
    summary = running.summary()
    missing = running.planned - summary.total
    if options.form == "json":
        head = {"pool_id": pool_id, "name": options.name, "requests": running.planned}
        text = json.dumps({**head, **summary.document()}, indent=2) + "\n"
    else:
        text = summary.text()
    write_text(text, to_stderr=is_stdout(options.out))
    if has_own_processes(pool) and any(map(is_of_container, summary.failures)):
        say(f"next: synth-pools logs {pool_id}")
    if running.stopped:
        advice = (
            "the same command goes on" if options.journal else "--only missing goes on, with --out"
        )
        say(f"interrupted: {missing} of {running.planned} have no result; {advice}")
        return ExitStatus.INTERRUPTED
    if running.over_budget is not None:
        # The fleet has what earlier results and looks have left of it.

        def in_all(use: re.Match[str]) -> str:
            limit = getattr(options, use[1])
            is_rest = options.only is not None and use[1] != "max_seconds"
            return f"{use[0]} (the rest of {limit})" if is_rest else f"{use[1]}={limit}"

        text = re.sub(r"(max_\w+)=[\d.e-]+", in_all, running.over_budget)
        if running.cancelled:
            again = "the same command" if options.journal else "--only failed, with --out,"
            text += f"; {running.cancelled} of {running.planned} were cancelled at it: "
            text += f"{again} runs them again with a higher one"
        if missing or not running.cancelled:
            text += f"; {missing} of {running.planned} have no result"
        say(text)
        return ExitStatus.BUDGET_REACHED
    status = ExitStatus.FAILED if summary.failed or missing else ExitStatus.DONE
    if missing:
        say(f"{missing} of {running.planned} have no result; --only missing runs them")
    least = options.fail_under
    if least is not None and not (summary.mean is not None and summary.mean >= least):
        mean = "there is no reward" if summary.mean is None else f"the mean is {summary.mean:.6g}"
        say(f"--fail-under {least:.6g}: {mean}")
        status = ExitStatus.FAILED
    return status


def _tasks_of(connection: ServiceOptions, pool_id: str) -> tuple[str, ...]:
    """Return the ids of the tasks of a pool.

    Raises:
        CommandError: It has none, or there is no such pool.
    """
    with connection.client() as client:
        tasks = tuple(str(task["id"]) for task in client.list_tasks(pool_id)["items"])
    if not tasks:
        raise CommandError(f"the pool {pool_id} has no tasks: --seeds alone runs it without one")
    return tasks


def _former_rows(
    options: RunOptions, requests: RunRequests, pool_id: str
) -> dict[int, dict[str, Any]]:
    """Return the rows of the results that the run goes on with.

    Raises:
        CommandError: The file has results of another run, or may not be replaced.
    """
    out, only, journal = options.out, options.only, options.journal
    if only is not None and journal is not None:
        raise CommandError(
            "--only goes on with the results in --out, and --journal with its own: give one of them"
        )
    if out is None or is_stream(out):
        if only is not None:
            raise CommandError("--only needs --out with a file, the results that it goes on with")
        return {}
    check_writable(out, force=True)
    continues = only is not None or (journal is not None and journal.exists())
    if not out.exists() or not out.stat().st_size or (options.force and only is None):
        return {}
    if not continues:
        raise CommandError(
            f"{out} has results already: --only missing or --only failed goes on with them, "
            "--force replaces them"
        )
    with reported_errors():
        rows = {row["index"]: row for row in read_rows(out)}
    for index, row in sorted(rows.items()):
        difference = _difference(requests, pool_id, index, row)
        if difference is not None:
            raise CommandError(f"{out}: result {index} is of another run: {difference}")
    return rows


def _difference(requests: RunRequests, pool_id: str, index: int, row: dict[str, Any]) -> str | None:
    """Describe how a result differs from that of a request; None if it does not."""
    if row.get("pool_id") != pool_id:
        return f"it is about the pool {row.get('pool_id')}, not {pool_id}"
    if not 0 <= index < len(requests):
        return f"there are {len(requests)} requests"
    for name in ("task_id", "seed"):
        expected = requests[index].get(name)
        if expected is not None and row.get(name) != expected:
            return f"its {name} is {row.get(name)}, not {expected}"
    if row.get("request_digest") != request_digest(requests[index]):
        return "its request has other fields: give the same ones"
    return None


def _chosen(
    requests: RunRequests, former: dict[int, dict[str, Any]], only: str | None
) -> range | list[int]:
    """Return the indices of the requests to run."""
    if only == "missing":
        return [index for index in range(len(requests)) if index not in former]
    if only == "failed":
        return sorted(index for index, row in former.items() if row["status"] not in COMPLETED)
    return range(len(requests))


def _remaining_budget(
    options: RunOptions, former: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the budget without what the results that the run goes on with have used."""
    budget = {"max_cost_usd": options.max_cost_usd, "max_tokens": options.max_tokens}
    if options.only is None or budget == dict.fromkeys(budget):
        # A journal is counted with the fleet.
        return budget
    spent = zip(budget.items(), UsageSums(former.values()).spent, strict=True)
    return {name: None if most is None else max(0, most - used) for (name, most), used in spent}


class _Run:
    """Run of a fleet that the user can interrupt."""

    def __init__(
        self,
        requests: RunRequests,
        indices: range | list[int],
        pool_id: str,
        former: dict[int, dict[str, Any]],
        results: ResultFile,
        summary: RunSummary,
    ) -> None:
        self.stopped = False
        # Why it started nothing more.
        self.over_budget: str | None = None
        self.cancelled = 0
        # Requests of the run, without the repeats that it does not need.
        self.planned = len(requests)
        self._requests = requests
        self._indices = indices
        self._pool_id = pool_id
        self._summary = summary
        # Rows of requests that have no new result yet.
        self._former = dict(former)
        self._results = results
        self._is_terminal = has_colour(sys.stderr)
        self._drawn = time.monotonic()
        self._width = 0

    def summary(self) -> RunSummary:
        """Sum up the new results, and the former ones of the other requests."""
        for index in list(self._former):
            self._summary.add(self._former.pop(index))
        return self._summary

    async def go(self, service: ServiceOptions, looks: Looks, **options: Any) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - it runs in one

        def interrupted() -> None:
            if self.stopped:
                say("cancelling what runs ...")
                task.cancel()
                return
            self.stopped = True
            self.end_line()
            say("no further rollouts are started; ^C once more cancels those that run")

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupted)
        began, seconds = time.monotonic(), options.pop("max_seconds")
        async with service.async_client() as client:
            # Loaded by the client already.
            from synth_pools.errors import BudgetReachedError

            journal, counted = options["journal"], 0
            highest = -1
            if journal is not None and journal.exists():
                # A large one takes minutes, in which ^C is answered.
                highest = await asyncio.to_thread(highest_request, journal)
            for end in looks.ends(highest):
                indices = self._indices
                if end < len(indices) or counted:
                    # A journal has its requests from the first one on.
                    indices = range(0 if journal else counted, end)
                elapsed = time.monotonic() - began
                fleet = client.rollouts.run_many(
                    self._pool_id,
                    self._admitted(indices, max(counted, highest + 1)),
                    on_interrupt="cancel",
                    progress=self._show,
                    total=len(indices),
                    max_seconds=None if seconds is None else max(0.0, seconds - elapsed),
                    **options,
                )
                try:
                    async with fleet:
                        async for outcome in fleet:
                            if (index := indices[outcome.index]) >= counted:
                                looks.add(self._requests.group(index), self._keep(index, outcome))
                except BudgetReachedError as error:
                    self.over_budget = str(error)
                self.end_line()
                counted = end
                if self.stopped or self.over_budget is not None:
                    break
                if looks.is_sure():
                    self.planned = end
                    break
        self._results.begin()

    def _admitted(self, indices: range | list[int], recorded: int) -> Iterator[dict[str, Any]]:
        for index in indices:
            # A journal is refused without the requests that it has.
            if self.stopped and index >= recorded:
                return
            yield self._requests[index]

    def _keep(self, index: int, outcome: RolloutOutcome) -> dict[str, Any]:
        group = self._requests.group(index)
        row = {**result_row(outcome, self._pool_id), "index": index, "group": group}
        replaced = self._former.pop(index, None)
        if replaced and not isinstance(self._indices, range):
            # As with --retries, a row tells of all attempts at its request; a journal does itself.
            row |= UsageSums((replaced, row)).columns
            row["attempts"] += int(finite_number(replaced.get("attempts")) or 0)
        self.cancelled += outcome.status == "cancelled" and not outcome.replayed
        self._summary.add(row)
        self._results.write(row)
        return row

    def _show(self, progress: FleetProgress) -> None:
        now = time.monotonic()
        if now - self._drawn < (_REDRAW_SECONDS if self._is_terminal else _LINE_SECONDS):
            return
        self._drawn = now
        text = str(progress)
        if not self._is_terminal:
            say(text)
            return
        room = width() - 1
        sys.stderr.write("\r" + text[:room].ljust(min(self._width, room)))
        sys.stderr.flush()
        self._width = len(text)

    def end_line(self) -> None:
        """End the line of the progress, if there is one."""
        if self._width:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._width = 0


class _WarningHandler(logging.Handler):
    """Shows the warnings of fleets, and a text once: each look has a fleet of its own."""

    def __init__(self, running: _Run) -> None:
        super().__init__(logging.WARNING)
        self._running = running
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._shown:
            self._shown.add(text)
            self._running.end_line()
            say(text)
