"""`synth-pools logs` and `rollouts watch`: output of processes and events of rollouts, live."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import ExitStatus
from synth_pools.cli.operations.commands import complete_places, output_option, write_event
from synth_pools.cli.operations.ids import with_full_ids
from synth_pools.cli.options import in_one_argument, moment_of, pattern_of
from synth_pools.cli.output import fields, safe_text, say, value_at, write_bytes, write_text
from synth_pools.runs.rows import COMPLETED

if TYPE_CHECKING:
    from synth_pools import ContainerPoolsClient


_Line = dict[str, Any]
# A line may be read after the answer that its container gave later.
_SLACK = timedelta(seconds=0.25)
_PAGE_SIZE = 1000


def line_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that choose lines, as `choice` and `as_json`."""
    options = (
        click.option(
            "--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines."
        ),
        click.option(
            "--since",
            metavar="TIME",
            callback=moment_of,
            help="Only lines from then on: 10m ago, or 2026-01-31T12:00:00Z.",
        ),
        click.option(
            "--grep",
            metavar="REGEX",
            callback=pattern_of,
            help="Only lines in which this regular expression matches.",
        ),
        click.option("--json", "as_json", is_flag=True, help="A line of JSON for each line."),
    )
    return in_one_argument(command, "choice", LineChoice, ("tail", "since", "grep"), options)


@dataclass(frozen=True)
class LineChoice:
    """Choice of lines; None for all."""

    tail: int | None
    since: datetime | None
    grep: re.Pattern[str] | None

    def takes(self, line: _Line) -> bool:
        if self.since is not None and _time_of(line) < self.since:
            return False
        return self.grep is None or self.grep.search(str(line.get("text", ""))) is not None


@click.command()
@click.argument("pool_id", metavar="POOL", shell_complete=complete_places)
@click.option("-f", "--follow", is_flag=True, help="Continue until the pool is archived, or ^C.")
@click.option(
    "--process", type=click.IntRange(min=0), metavar="N", help="This process alone; the first is 0."
)
@line_options
@connection_options
def logs(
    pool_id: str,
    follow: bool,
    process: int | None,
    choice: LineChoice,
    as_json: bool,
    connection: ServiceOptions,
) -> int:
    """Show the output of the processes that a pool has started, as far as it is kept.

    Each line begins with its time of day, the process and its attempt.

    \b
    Examples:
      synth-pools logs docs-example-pool
      synth-pools logs docs-example-pool --since 10m --grep 'Error|Warning'
    """
    with connection.client() as client:

        def show(arguments: dict[str, Any]) -> int:
            place = arguments["pool_id"]
            for line in _lines(client, place, process, choice.takes, choice.tail, follow=follow):
                _write(line, as_json)
            return 0

        return with_full_ids(client, show, {"pool_id": pool_id})


@click.command("logs")
@click.argument("rollout_id", metavar="ROLLOUT", shell_complete=complete_places)
@line_options
@connection_options
def rollout_logs(
    rollout_id: str, choice: LineChoice, as_json: bool, connection: ServiceOptions
) -> int:
    """Show what the container of a rollout wrote while the rollout ran.

    Lines of other rollouts that it ran meanwhile are among them. Only containers that a pool has
    started have lines.

    \b
    Example:
      synth-pools rollouts logs rollout_0f8b7c1e5d2a4b6c9e3f1a2b3c4d5e6f
    """
    with connection.client() as client:

        def show(arguments: dict[str, Any]) -> int:
            rollout = client.agent_rollouts.get(arguments["rollout_id"])
            takes = _while_it_ran(client, rollout)

            def takes_both(line: _Line) -> bool:
                return takes(line) and choice.takes(line)

            for line in _lines(client, rollout["pool_id"], None, takes_both, choice.tail):
                _write(line, as_json)
            return 0

        return with_full_ids(client, show, {"rollout_id": rollout_id})


def _while_it_ran(client: ContainerPoolsClient, rollout: dict[str, Any]) -> Callable[[_Line], bool]:
    """Return a check for lines that the containers of a rollout wrote during its attempts."""
    starts = list(_starts(client, rollout["id"]))
    end = rollout.get("finished_at")
    moments = [_time_of(event) for event in starts]
    last = datetime.fromisoformat(end) + _SLACK if end else datetime.max.replace(tzinfo=UTC)
    started = client.get_pool_logs(rollout["pool_id"], limit=1)["processes"]
    numbers = {process["url"]: process["process"] for process in started}
    spans = [
        (begins, ends, numbers.get((event.get("data") or {}).get("container_url")))
        for event, begins, ends in zip(starts, moments, [*moments[1:], last], strict=True)
    ]
    if not spans:
        say("it has not started yet")
    elif not started:
        say("its pool has started no container: its output is not here")
    elif any(number is None for _, _, number in spans):
        say("its container runs no more: these are the lines of all containers of the pool")

    def takes(line: _Line) -> bool:
        moment = _time_of(line)
        return any(
            begins <= moment <= ends and number in (None, line.get("process"))
            for begins, ends, number in spans
        )

    return takes


def _starts(client: ContainerPoolsClient, rollout_id: str) -> Iterator[dict[str, Any]]:
    """Yield the event with which each attempt of a rollout begins."""
    position, has_more = 0, True
    while has_more:
        page = client.get_global_rollout_event_page(
            rollout_id, after_sequence=position, limit=_PAGE_SIZE
        )
        yield from (event for event in page["events"] if event["event"] == "rollout.started")
        position, has_more = page["next_sequence"], page["has_more"]


def _lines(
    client: ContainerPoolsClient,
    pool_id: str,
    process: int | None,
    takes: Callable[[_Line], bool],
    tail: int | None,
    *,
    follow: bool = False,
) -> Iterator[_Line]:
    """Yield the stored lines of a pool, and with `follow` later lines, too."""
    cursor, has_more = None, True
    last = deque[_Line](maxlen=tail)
    while has_more:
        page = client.get_pool_logs(pool_id, cursor=cursor, process=process)
        if page.get("truncated"):
            say("earlier lines are kept no more")
        for line in filter(takes, page["lines"]):
            if tail is None:
                yield line
            else:
                last.append(line)
        cursor, has_more = page["next_cursor"], page["has_more"]
    yield from last
    if follow:
        yield from filter(takes, client.iter_pool_logs(pool_id, cursor=cursor, process=process))


def _time_of(record: _Line) -> datetime:
    """Return the time of a line or of an event; the earliest one if it has none."""
    try:
        return datetime.fromisoformat(str(record.get("timestamp")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _write(line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        write_bytes(json.dumps(line, ensure_ascii=False).encode())
        return
    moment = str(line.get("timestamp", ""))[11:23]
    place = f"{line.get('process')}.{line.get('attempt')}"
    text = safe_text(str(line.get("text", "")))
    write_text(f"{safe_text(moment)}  {place}  {text}\n")


@click.command()
@click.argument("rollout_id", metavar="ROLLOUT", shell_complete=complete_places)
@output_option
@connection_options
def watch(rollout_id: str, output: str, connection: ServiceOptions) -> int:
    """Follow a rollout to its end, and print how it ended.

    In a format for programs only the events are printed, one after the other. Exit status: 0 it
    completed, 1 it failed or was cancelled.

    \b
    Example:
      synth-pools rollouts watch rollout_0f8b7c1e5d2a4b6c9e3f1a2b3c4d5e6f
    """
    with connection.client() as client:

        def follow(arguments: dict[str, Any]) -> dict[str, Any]:
            with client.agent_rollouts.events(arguments["rollout_id"]) as events:
                for event in events:
                    write_event(event, output)
            return client.agent_rollouts.summary(arguments["rollout_id"])

        summary = with_full_ids(client, follow, {"rollout_id": rollout_id})
    facts = {
        key: summary.get(key)
        for key in ("status", "reward", "error")
        if summary.get(key) is not None
    }
    if output == "table":
        seconds = value_at(summary, "timing.run_seconds")
        write_text("\n" + fields({**facts, "seconds": seconds}))
    is_completed = summary.get("status") in COMPLETED
    return ExitStatus.DONE if is_completed else ExitStatus.FAILED
