"""`synth-pools logs` and `rollouts watch`: output of processes and events of rollouts, live."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import ExitStatus
from synth_pools.cli.operations.commands import complete_places, output_option, write_event
from synth_pools.cli.operations.ids import with_full_ids
from synth_pools.cli.output import fields, safe_text, say, value_at, write_bytes, write_text

if TYPE_CHECKING:
    from synth_pools import ContainerPoolsClient


@click.command()
@click.argument("pool_id", metavar="POOL", shell_complete=complete_places)
@click.option("-f", "--follow", is_flag=True, help="Continue until the pool is archived, or ^C.")
@click.option(
    "--process", type=click.IntRange(min=0), metavar="N", help="This process alone; the first is 0."
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each line.")
@connection_options
def logs(
    pool_id: str, follow: bool, process: int | None, as_json: bool, connection: ServiceOptions
) -> int:
    """Show the output of the processes that a pool has started, as far as it is kept.

    Each line begins with its time of day, the process and its attempt.

    \b
    Example:
      synth-pools logs docs-example-pool
    """
    with connection.client() as client:

        def show(arguments: dict[str, Any]) -> int:
            lines = _followed if follow else _stored
            for line in lines(client, arguments["pool_id"], process):
                _write(line, as_json)
            return 0

        return with_full_ids(client, show, {"pool_id": pool_id})


def _followed(
    client: ContainerPoolsClient, pool_id: str, process: int | None
) -> Iterator[dict[str, Any]]:
    yield from client.iter_pool_logs(pool_id, process=process)


def _stored(
    client: ContainerPoolsClient, pool_id: str, process: int | None
) -> Iterator[dict[str, Any]]:
    cursor, has_more = None, True
    while has_more:
        page = client.get_pool_logs(pool_id, cursor=cursor, process=process)
        if page.get("dropped"):
            say(f"{page['dropped']} lines are kept no more")
        yield from page["lines"]
        cursor, has_more = page["next_cursor"], page["has_more"]


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
    is_completed = summary.get("status") in ("completed", "succeeded")
    return ExitStatus.DONE if is_completed else ExitStatus.FAILED
