"""`synth-pools relay`: an address of a model that records all calls of agents in files."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pools.cli.failures import CommandError, needing
from synth_pools.cli.options import not_nan
from synth_pools.cli.signals import StopSignals

if TYPE_CHECKING:
    from synth_pools.container import Trajectory
    from synth_pools.relay import EpisodeLimits, ModelPrice, ModelRelay, RelaySession

_DEFAULT_KEY = "OPENAI_API_KEY"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_NAMES = 10_000
_PRICE = re.compile(r"(.+)=([0-9.]+)/([0-9.]+)(?:/([0-9.]+))?")
# A file is written again as soon as this, and no more than a tenth of the time.
_WRITE_SECONDS = 0.1
_REST = 10


@click.command("relay")
@click.option("--upstream", required=True, metavar="URL", help="The model's server, up to /v1.")
@click.option(
    "--record",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the trajectories are written, in ATIF.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: a free one]")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--upstream-key",
    metavar="VARIABLE",
    help="The variable with the key of the server; without one, that of the agent is passed on. "
    f"[default: {_DEFAULT_KEY}]",
)
@click.option(
    "--max-turns", type=click.IntRange(1), metavar="N", help="The most calls of an agent."
)
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Its tokens, of all calls.")
@click.option(
    "--max-cost",
    type=click.FloatRange(0, min_open=True),
    callback=not_nan,
    metavar="USD",
    help="Its cost.",
)
@click.option(
    "--price",
    "prices",
    multiple=True,
    metavar="MODEL=IN/OUT[/CACHED]",
    help="Dollars for a million tokens, where the server says no cost; repeatable.",
)
def relay_command(
    upstream: str,
    record: Path,
    port: int,
    host: str,
    upstream_key: str | None,
    max_turns: int | None,
    max_tokens: int | None,
    max_cost: float | None,
    prices: tuple[str, ...],
) -> int:
    """Pass calls of a model on to its server, and record them, until ^C or SIGTERM.

    It prints an OpenAI-compatible address, and a key for agents that are given another address. A
    name behind the key, as in KEY.first, has a trajectory and limits of its own: up to 64 letters
    and digits, also - and _. Exit status: 0.

    \b
    Example:
      synth-pools relay --upstream http://127.0.0.1:8000/v1 --record calls
    """
    with needing("`relay`", "container"):
        # Imported here: other commands do not need the extra `container`.
        from synth_pools.relay import EpisodeLimits, ModelRelay

    key = os.environ.get(upstream_key or _DEFAULT_KEY)
    if upstream_key is not None and not key:
        raise CommandError(f"--upstream-key: there is no variable {upstream_key}, or it is empty")
    limits = EpisodeLimits(max_turns, max_tokens, max_cost)
    records = _Records(record, limits, dict(map(_price_of, prices)))
    relay = ModelRelay(records.find)
    try:
        record.mkdir(parents=True, exist_ok=True)
        records.upstream = relay.upstream(upstream, key or None)
        with StopSignals() as signals:
            asyncio.run(_serve(relay, records, signals, host, port))
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from None
    return 0


async def _serve(
    relay: ModelRelay, records: _Records, signals: StopSignals, host: str, port: int
) -> None:
    # As above.
    from synth_pools.relay import relay_server

    async with relay_server(relay, host, port) as address:
        click.echo(f"address  {address}/r/{records.key}/v1")
        click.echo(f"key      {records.key}  at {address}/v1")
        while not await asyncio.to_thread(signals.wait, _WRITE_SECONDS):
            await records.write()
    await records.write(is_last=True)


def _price_of(text: str) -> tuple[str, ModelPrice]:
    # As above.
    from synth_pools.relay import ModelPrice

    match = _PRICE.fullmatch(text)
    try:
        numbers = [float(number) for number in match.groups()[1:] if number] if match else []
        return str(match and match[1]), ModelPrice(*numbers)
    except (TypeError, ValueError):
        raise CommandError(
            f"--price {text}: write MODEL=INPUT/OUTPUT or MODEL=INPUT/OUTPUT/CACHED"
        ) from None


class _Records:
    """Files of all agents, each written again while calls come in."""

    def __init__(
        self, folder: Path, limits: EpisodeLimits, prices: Mapping[str, ModelPrice]
    ) -> None:
        self.key = secrets.token_urlsafe(24).replace("-", "_")
        self.upstream: Any = None
        self._folder, self._limits, self._prices = folder, limits, prices
        self._sessions: dict[str, RelaySession] = {}
        self._files: list[_RecordFile] = []
        self._warnings: set[str] = set()

    def find(self, token: str) -> RelaySession | None:
        """Return the session of a key, with a name behind it or not."""
        # As above.
        from synth_pools.container import Trajectory
        from synth_pools.relay import RelaySession

        key, _, name = token.partition(".")
        if not secrets.compare_digest(key.encode(), self.key.encode()):
            return None
        if name not in self._sessions:
            if (name and not _NAME.fullmatch(name)) or len(self._sessions) >= _MOST_NAMES:
                return None
            trajectory = Trajectory(session_id=name or None)
            file = _RecordFile(self._folder, name or "calls", trajectory)
            self._files.append(file)
            self._sessions[name] = RelaySession(
                self.upstream, trajectory, self._limits, self._prices, token, file.note, self._warn
            )
        return self._sessions[name]

    def _warn(self, limit: str, lack: str, model: str) -> None:
        option = "--max-tokens" if limit == "max_tokens" else "--max-cost"
        advice = "Add --max-turns."
        if lack == "cost":
            advice = "Add --price MODEL=INPUT/OUTPUT, in dollars for a million tokens."
        text = f"{option} ends nothing for the model {model!r}: no {lack} is said. {advice}"
        if text not in self._warnings:
            self._warnings.add(text)
            click.echo(f"warning: {text}", err=True)

    async def write(self, *, is_last: bool = False) -> None:
        """Write the files of agents that have called since."""
        for file in self._files:
            if file.is_changed and (is_last or time.monotonic() >= file.due_at):
                await asyncio.to_thread(file.write)


class _RecordFile:
    """Trajectory that is a file, which is complete at any time."""

    def __init__(self, folder: Path, name: str, trajectory: Trajectory) -> None:
        self._trajectory = trajectory
        self._folder, self._name = folder, name
        self._path: Path | None = None
        self.is_changed = False
        self.due_at = 0.0

    def note(self, _: object) -> None:
        """Note that there is more to write."""
        self.is_changed = True

    def write(self) -> None:
        """Write it beside the former one, and put it in its place."""
        start = time.monotonic()
        self.is_changed = False
        written = self._folder / f".{self._name}.{os.getpid()}"
        try:
            written.touch(mode=0o600)
            written.write_text(self._trajectory.to_json())
            if self._path is None:
                self._path = self._first_place(written)
                written.unlink()
            else:
                written.replace(self._path)
        except OSError as error:
            click.echo(f"error: {self._name} is not written: {error}", err=True)
            self.is_changed = True
        self.due_at = time.monotonic() + _REST * (time.monotonic() - start) + _WRITE_SECONDS

    def _first_place(self, written: Path) -> Path:
        """Return a path of its own: files of earlier relays stay."""
        for number in itertools.count(1):
            suffix = f"-{number}" if number > 1 else ""
            place = self._folder / f"{self._name}{suffix}.json"
            try:
                place.hardlink_to(written)
            except FileExistsError:
                continue
            return place
        raise AssertionError
