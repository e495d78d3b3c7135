"""`synth-pools logs` and `rollouts watch`: output of processes and events of rollouts, live."""

from __future__ import annotations

import json
from typing import Any

import click

from synth_pools.cli import output
from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import ExitStatus
from synth_pools.cli.operations.commands import complete_places, event_line
from synth_pools.cli.operations.ids import suggesting


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
    with connection.client() as client, suggesting(client, pool_id=pool_id):
        if follow:
            for line in client.iter_pool_logs(pool_id, process=process):
                _write(line, as_json)
            return 0
        cursor = None
        while True:
            page = client.get_pool_logs(pool_id, cursor=cursor, process=process)
            if page.get("dropped"):
                output.say(f"{page['dropped']} lines are kept no more")
            for line in page["lines"]:
                _write(line, as_json)
            cursor = page["next_cursor"]
            if not page["has_more"]:
                return 0


def _write(line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.write_bytes(json.dumps(line, ensure_ascii=False).encode())
        return
    moment = str(line.get("timestamp", ""))[11:23]
    place = f"{line.get('process')}.{line.get('attempt')}"
    text = output.safe_text(str(line.get("text", "")))
    output.write_text(f"{output.safe_text(moment)}  {place}  {text}\n")


@click.command()
@click.argument("rollout_id", metavar="ROLLOUT", shell_complete=complete_places)
@connection_options
def watch(rollout_id: str, connection: ServiceOptions) -> int:
    """Follow a rollout to its end, and print how it ended.

    Exit status: 0 it completed, 1 it failed or was cancelled.

    \b
    Example:
      synth-pools rollouts watch rollout_0f8b7c1e5d2a4b6c9e3f1a2b3c4d5e6f
    """
    with connection.client() as client, suggesting(client, rollout_id=rollout_id):
        with client.agent_rollouts.events(rollout_id) as events:
            for event in events:
                output.write_text(f"{event_line(event)}\n")
        summary = client.agent_rollouts.summary(rollout_id)
    facts = {
        key: summary.get(key)
        for key in ("status", "reward", "error")
        if summary.get(key) is not None
    }
    seconds = output.value_at(summary, "timing.run_seconds")
    output.write_text("\n" + output.fields({**facts, "seconds": seconds}))
    is_completed = summary.get("status") in ("completed", "succeeded")
    return ExitStatus.DONE if is_completed else ExitStatus.FAILED
