"""`synth-pools top`: pools, their rollouts and the queue, drawn anew every few seconds."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.output import cell, grid, has_colour, write_text

if TYPE_CHECKING:
    from synth_pools import ContainerPoolsClient

_HEADS = ("POOL", "STATUS", "RUNNING", "QUEUED", "DONE", "FAILED", "SUCCESS")
_COUNTS = ("active_rollouts", "queued_rollouts", "completed_rollouts", "failed_rollouts")
_CLEAR = "\x1b[H\x1b[2J"
_MOST_POOLS = 100


@click.command()
@click.option(
    "--every",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often it is drawn.",
)
@click.option("--once", is_flag=True, help="Draw it once, and end.")
@connection_options
def top(every: float, once: bool, connection: ServiceOptions) -> int:
    """Show pools, their rollouts and the queue, until ^C.

    Where the output is no terminal it is shown once.

    \b
    Example:
      synth-pools top --once
    """
    live = sys.stdout.isatty() and not once
    with connection.client() as client:
        while True:
            text = _picture(client)
            write_text(f"{_CLEAR if live else ''}{text}")
            if not live:
                return 0
            sys.stdout.flush()
            time.sleep(every)


def _picture(client: ContainerPoolsClient) -> str:
    queue = client.get_queue_status()
    pools = client.list_pools(limit=_MOST_POOLS)
    rows = [_row(pool, client.get_pool_metrics(pool["id"])) for pool in pools["items"]]
    facts = [f"{name.replace('_', ' ')} {cell(value)}" for name, value in queue.items()]
    shown = "   ".join(fact for fact in facts if len(fact) < 40)
    more = "more pools are not shown\n" if pools.get("next_cursor") else ""
    stamp = f"{time.strftime('%H:%M:%S')}  " if has_colour(sys.stdout) else ""
    return f"{stamp}{shown}\n\n{grid(_HEADS, rows, right=[2, 3, 4, 5, 6])}{more}"


def _row(pool: dict[str, Any], metrics: dict[str, Any]) -> list[str]:
    rate = metrics.get("success_rate")
    shown = f"{rate:.0%}" if isinstance(rate, int | float) else "-"
    counts = [cell(metrics.get(name)) for name in _COUNTS]
    return [cell(pool["id"]), cell(pool.get("status")), *counts, shown]
