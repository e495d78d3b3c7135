"""`synth-pools run`: rollouts for many seeds, resumable, with a summary."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import CommandError, ExitStatus, reported_errors
from synth_pools.cli.fleet.results import ResultFile, RunRequests, parse_seeds, read_rows
from synth_pools.cli.fleet.summary import RunSummary
from synth_pools.cli.operations.bodies import body_from_words
from synth_pools.cli.operations.commands import complete_places
from synth_pools.cli.operations.ids import suggesting
from synth_pools.cli.output import has_colour, say, width, write_text

if TYPE_CHECKING:
    from synth_pools import FleetProgress, RolloutOutcome

_LINE_SECONDS = 10.0
_REDRAW_SECONDS = 0.1


@click.command("run")
@click.argument("pool_id", metavar="POOL", shell_complete=complete_places)
@click.argument("body", nargs=-1, metavar="[BODY]...")
@click.option("--seeds", required=True, metavar="RANGE", help="0..499, or 1,5,10..20.")
@click.option("--task", "task_id", metavar="TASK", help="The task of all rollouts.")
@click.option(
    "--env", multiple=True, metavar="KEY=VALUE", help="A setting of the environment; repeatable."
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    metavar="N",
    help="Rollouts of each seed.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 10_000),
    default=64,
    show_default=True,
    metavar="N",
    help="Most rollouts at a time.",
)
@click.option(
    "--retries",
    type=click.IntRange(0, 1000),
    default=0,
    show_default=True,
    metavar="N",
    help="How often a rollout that failed is run again.",
)
@click.option(
    "--journal",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A file for every step: the same command continues after any interruption.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A line of JSON for each result, as it comes.",
)
@click.option(
    "--only",
    type=click.Choice(["failed", "missing"]),
    help="Run again the requests that failed in --out, or that are missing from it.",
)
@connection_options
def run_seeds(
    pool_id: str,
    body: tuple[str, ...],
    seeds: str,
    task_id: str | None,
    env: tuple[str, ...],
    repeats: int,
    in_flight: int,
    retries: int,
    journal: Path | None,
    out: Path | None,
    only: str | None,
    connection: ServiceOptions,
) -> int:
    """Run a rollout for each seed on a pool, and print a summary.

    BODY has the fields of all requests, as `synth-pools rollouts create` takes them. The first ^C
    starts no further rollouts and waits for the running ones; the second cancels these. With
    --journal the same command continues. Exit status: 0 all completed, 1 some did not, 130
    interrupted.

    \b
    Example:
      synth-pools run docs-example-pool --seeds 0..9 --env reward=0.5
    """
    words = [*body, *(f"env.{word}" for word in env)]
    base = body_from_words(words, "RolloutRequest", required=False) or {}
    if task_id is not None:
        base["task_id"] = task_id
    if "seed" in base:
        raise CommandError("the seeds are given with --seeds, not in the body")
    requests = RunRequests(parse_seeds(seeds), repeats, base)
    former, indices = _chosen(requests, out, only, journal)
    _check_pool(connection, pool_id)
    results = ResultFile(out, former)
    running = _Run(requests, indices, RunSummary(former), results)
    try:
        with reported_errors():
            asyncio.run(
                running.go(
                    connection,
                    pool_id,
                    max_in_flight=in_flight,
                    retries=retries,
                    journal=journal,
                    total=len(indices),
                )
            )
    except asyncio.CancelledError:
        running.cancelled = True
    finally:
        results.close()
        running.end_line()
    write_text(running.summary.text())
    if running.stopped:
        remaining = len(indices) - running.ended
        advice = "the same command goes on" if journal else "--only missing goes on, with --out"
        say(f"interrupted: {remaining} of {len(indices)} have no result; {advice}")
        return ExitStatus.INTERRUPTED
    return ExitStatus.FAILED if running.summary.failed else ExitStatus.DONE


def _check_pool(connection: ServiceOptions, pool_id: str) -> None:
    """Ask for the pool once, before many requests fail for the same reason.

    Raises:
        CommandError: There is no such pool, or the key is refused.
    """
    with connection.client(max_retries=0) as client, suggesting(client, pool_id=pool_id):
        # Loaded by the client already.
        from synth_pools.errors import APIConnectionError, RateLimitError, ServerError

        # The run itself survives a short outage of the service.
        with contextlib.suppress(APIConnectionError, RateLimitError, ServerError):
            client.get_pool(pool_id)


def _chosen(
    requests: RunRequests, out: Path | None, only: str | None, journal: Path | None
) -> tuple[list[dict[str, Any]], range | list[int]]:
    """Return the results to keep, and the indices of the requests to run."""
    exists = out is not None and out.exists() and out.stat().st_size > 0
    if only is None:
        if exists and not (journal is not None and journal.exists()):
            raise CommandError(
                f"{out} has results already: --only missing or --only failed goes on with them; "
                "or remove it"
            )
        return [], range(len(requests))
    if out is None:
        raise CommandError("--only needs --out, the results that it goes on with")
    rows = {row["index"]: row for row in (read_rows(out) if exists else [])}
    for index, row in rows.items():
        if index >= len(requests) or row.get("seed") != requests[index]["seed"]:
            raise CommandError(f"{out}: result {index} is of another run: give the same --seeds")
    kept_indices = {
        index for index, row in rows.items() if only == "missing" or row["status"] == "completed"
    }
    chosen = [index for index in range(len(requests)) if index not in kept_indices]
    if only == "failed":
        chosen = [index for index in chosen if index in rows]
    return [row for index, row in rows.items() if index not in set(chosen)], chosen


class _Run:
    """Run of a fleet that the user can interrupt."""

    def __init__(
        self,
        requests: RunRequests,
        indices: range | list[int],
        summary: RunSummary,
        results: ResultFile,
    ) -> None:
        self.summary = summary
        self.stopped = False
        self.cancelled = False
        self.ended = 0
        self._requests = requests
        self._indices = indices
        self._results = results
        self._is_terminal = has_colour(sys.stderr)
        self._drawn = time.monotonic()
        self._width = 0

    async def go(self, service: ServiceOptions, pool_id: str, **options: Any) -> None:
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
        async with service.async_client() as client:
            fleet = client.rollouts.run_many(
                pool_id, self._admitted(), on_interrupt="cancel", progress=self._show, **options
            )
            async with fleet:
                async for outcome in fleet:
                    self._keep(outcome)

    def _admitted(self) -> Iterator[dict[str, Any]]:
        for index in self._indices:
            if self.stopped:
                return
            yield self._requests[index]

    def _keep(self, outcome: RolloutOutcome) -> None:
        index = self._indices[outcome.index]
        row = {
            **outcome.to_dict(),
            "index": index,
            "group": self._requests.group(index),
            "request": outcome.request,
        }
        self.ended += 1
        self.summary.add(row)
        self._results.write(row)

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
