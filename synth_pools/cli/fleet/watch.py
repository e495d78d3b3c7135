"""`synth-pools rollouts watch`: the events of a rollout as they come, and how it ended."""

from __future__ import annotations

import click

from synth_pools.cli import output
from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import ExitStatus
from synth_pools.cli.operations.commands import complete_places, event_line
from synth_pools.cli.operations.ids import suggesting


@click.command()
@click.argument("rollout_id", metavar="ROLLOUT", shell_complete=complete_places)
@connection_options
def watch(rollout_id: str, connection: ServiceOptions) -> int:
    """Follow a rollout until it has ended, and tell how.

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
    shown = {
        key: summary.get(key)
        for key in ("status", "reward", "error")
        if summary.get(key) is not None
    }
    seconds = output.value_at(summary, "timing.run_seconds")
    output.write_text("\n" + output.fields({**shown, "seconds": seconds}))
    done = summary.get("status") in ("completed", "succeeded")
    return ExitStatus.DONE if done else ExitStatus.FAILED
