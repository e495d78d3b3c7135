"""`synth-pools top`: pools, their rollouts and the queue, redrawn as they change."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.output import cell, grid, has_colour, runs_on_echo, write_text
from synth_pools.cli.signals import short_waits

if TYPE_CHECKING:
    from synth_pools import ContainerPoolsClient

_HEADS = ("POOL", "STATUS", "RUNNING", "QUEUED", "DONE", "FAILED", "SUCCESS", "HEALTHY", "NAME")
_COUNTS = ("active_rollouts", "queued_rollouts", "completed_rollouts", "failed_rollouts")
_PLACE_HEADS = (
    "POOL", "NODE", "LAUNCHER", "HEALTH", "RUNNING", "RESTARTS", "IMAGE", "CONTAINER"
)  # fmt: skip
# Digits of a digest, as many as container engines show.
_DIGEST_SIZE = 12
_CLEAR = "\x1b[H\x1b[2J"
_MOST_POOLS = 100
# Each event of these pools redraws the page; other pools wait for the next regular drawing.
_MOST_STREAMS = 8
_LEAST_SECONDS = 0.2


@click.command()
@click.option(
    "--every",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often it is drawn when no change is reported.",
)
@click.option("--once", is_flag=True, help="Draw it once, and end.")
@click.option("--containers", is_flag=True, help="Show where the containers of each pool run, too.")
@connection_options
def top(every: float, once: bool, containers: bool, connection: ServiceOptions) -> int:
    """Show pools, their rollouts and the queue, until q or ^C.

    It is drawn as soon as something happens in one of the first pools, and once if the output is no
    terminal.

    \b
    Example:
      synth-pools top --once
      synth-pools top --containers
    """
    live = sys.stdout.isatty() and not once
    with connection.client() as client, contextlib.ExitStack() as stack:
        watch = _PoolWatch(client)
        # One that is ignored, as in the background of a shell, stays ignored.
        if live and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            stack.callback(signal.signal, signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGINT, watch.interrupt)
        if live and sys.stdin.isatty():
            stack.enter_context(_keys_read_at_once())
            threading.Thread(target=watch.read_keys, daemon=True).start()
        while True:
            pools = client.list_pools(limit=_MOST_POOLS)
            if live:
                # Before the drawing, so that later changes are drawn next.
                watch.follow([pool["id"] for pool in pools["items"]])
            text = _picture(client, pools, containers=containers)
            write_text(f"{_CLEAR if live else ''}{text}")
            if not live:
                return 0
            sys.stdout.flush()
            if watch.wait(every):
                return 0


class _PoolWatch:
    """Event streams of pools, each in its own thread; every event triggers a redraw."""

    def __init__(self, client: ContainerPoolsClient) -> None:
        self._client = client
        # ^C may interrupt the wait at any moment. `threading.Event` does not survive that: its lock
        # is released twice.
        # An item is a change, or True for the key or the signal that ends the page.
        self._changes = queue.SimpleQueue[bool | None]()
        self._is_interrupted = False
        self._followed: set[str] = set()

    def follow(self, pools: Sequence[str]) -> None:
        """Follow the first pools of a list, each only once."""
        for pool_id in pools[:_MOST_STREAMS]:
            if pool_id not in self._followed and len(self._followed) < _MOST_STREAMS:
                self._followed.add(pool_id)
                # A daemon: at the end its connection is closed, and nothing waits for it.
                threading.Thread(target=self._read, args=(pool_id,), daemon=True).start()

    def interrupt(self, _number: int, _frame: FrameType | None) -> NoReturn:
        """Act on ^C; a finalizer in which it comes drops the exception, but not the item."""
        self._is_interrupted = True
        self._changes.put(True)
        raise KeyboardInterrupt

    def read_keys(self) -> None:
        """Read the terminal until q is pressed."""
        with contextlib.suppress(OSError, ValueError):
            while key := os.read(sys.stdin.fileno(), 1):
                if key in b"qQ":
                    self._changes.put(True)

    def wait(self, seconds: float) -> bool:
        """Wait for a change, or until the time limit in seconds; return whether q was pressed.

        Raises:
            KeyboardInterrupt: The user has interrupted it, now or before.
        """
        for wait in short_waits(seconds):
            with contextlib.suppress(queue.Empty):
                is_last = self._changes.get(timeout=wait)
                break
        else:
            return False
        # Changes in quick succession are drawn together.
        time.sleep(0 if is_last else _LEAST_SECONDS)
        with contextlib.suppress(queue.Empty):
            while not is_last:
                is_last = self._changes.get_nowait()
        if self._is_interrupted:
            raise KeyboardInterrupt
        return bool(is_last)

    def _read(self, pool_id: str) -> None:
        # Loaded by the client already.
        from synth_pools import SynthPoolsError

        # Without this stream the page is redrawn only at regular times.
        with (
            contextlib.suppress(SynthPoolsError),
            self._client.stream_pool_events(pool_id, start="latest") as events,
        ):
            for _ in events:
                if self._changes.empty():
                    self._changes.put(None)


@contextlib.contextmanager
def _keys_read_at_once() -> Iterator[None]:
    """Let the terminal pass keys on without Enter, and not show them."""
    # Imported here: only some systems have it.
    import termios
    import tty

    file = sys.stdin.fileno()
    former = termios.tcgetattr(file)
    tty.setcbreak(file)
    try:
        yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, former)


def _picture(
    client: ContainerPoolsClient, pools: dict[str, Any], *, containers: bool = False
) -> str:
    queue = client.get_queue_status()
    metrics = {pool["id"]: client.get_pool_metrics(pool["id"]) for pool in pools["items"]}
    rows = [_row(pool, metrics[pool["id"]]) for pool in pools["items"]]
    facts = [f"{name.replace('_', ' ')} {cell(value)}" for name, value in queue.items()]
    summary = "   ".join(fact for fact in facts if len(fact) < 40)
    more = "more pools are not shown\n" if pools.get("next_cursor") else ""
    stamp = f"{time.strftime('%H:%M:%S')}  " if has_colour(sys.stdout) else ""
    text = f"{stamp}{summary}\n\n{grid(_HEADS, rows, right=[2, 3, 4, 5, 6, 7])}{more}"
    if not containers:
        return text
    places = [
        _place(pool_id, container)
        for pool_id, pool_metrics in metrics.items()
        for container in _containers(pool_metrics)
    ]
    return f"{text}\n{grid(_PLACE_HEADS, places, right=[4, 5])}"


def _containers(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the containers of a pool; none if the service lists none."""
    containers = metrics.get("containers")
    containers = containers if isinstance(containers, list) else []
    return [container for container in containers if isinstance(container, dict)]


def _place(pool_id: str, container: dict[str, Any]) -> list[str]:
    digest = container.get("image_digest")
    image = str(digest).rpartition(":")[2][:_DIGEST_SIZE] if digest else None
    names = ("node", "launcher", "health", "running_rollouts", "restarts")
    cells = [cell(container.get(name)) for name in names]
    return [cell(pool_id), *cells, cell(image), cell(container.get("url"))]


def _row(pool: dict[str, Any], metrics: dict[str, Any]) -> list[str]:
    rate = metrics.get("success_rate")
    percentage = f"{rate:.0%}" if isinstance(rate, int | float) else "-"
    counts = [cell(metrics.get(name)) for name in _COUNTS]
    states = [container.get("health") for container in _containers(metrics)]
    healthy = f"{states.count('healthy')}/{len(states)}" if states else "-"
    cells = [percentage, "echo" if runs_on_echo(pool) else healthy, cell(pool.get("name"))]
    return [cell(pool["id"]), cell(pool.get("status")), *counts, *cells]
