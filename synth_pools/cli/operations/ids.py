"""Ids for suggestions and for completion.

A shell asks for completions in a fresh process at each press of a key, which is to be there before
anyone waits: it reads what a process in the background has asked the service for.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pools.cli.failures import CommandError, ExitStatus

if TYPE_CHECKING:
    import click

    from synth_pools import ContainerPoolsClient

_FRESH_SECONDS = 10.0
_LONGEST_WAIT_SECONDS = 1.0
_LOOK_SECONDS = 0.02
_MOST = 1000
_LIST_LIMIT = 100


def list_ids(
    client: ContainerPoolsClient, parameter: str, arguments: Mapping[str, Any]
) -> list[str]:
    """Ask the service for the ids that a parameter may be given, the newest first.

    Args:
        client: The client.
        parameter: The parameter, such as ``rollout_id``.
        arguments: The parameters that are known, for lists that lie within something.

    Returns:
        The ids; none where they are listed nowhere.

    Raises:
        SynthPoolsError: The service does not tell.
    """
    # 4 ms, which completion from what is there does without.
    from synth_pools.cli.operations.table import COMMANDS, ID_SOURCES

    source = ID_SOURCES.get(parameter)
    if source is None or any(not arguments.get(name) for name in source.arguments):
        return []
    asked: dict[str, Any] = {name: arguments[name] for name in source.arguments}
    row = next(
        (one for one in COMMANDS if source.operation in {name for name, _ in one.operations}), None
    )
    if row is not None and any(option.name == "limit" for option in row.options):
        asked["limit"] = _LIST_LIMIT
    import json  # loaded by the client already

    found = json.loads(client.operations.call(source.operation, asked))
    items = found.get("items", []) if isinstance(found, dict) else []
    return [str(one[source.key]) for one in items if isinstance(one, dict) and one.get(source.key)]


def nearest_id(client: ContainerPoolsClient, code: str, arguments: Mapping[str, Any]) -> str:
    """Suggest an id for one that the service does not know.

    Args:
        client: The client.
        code: The code of the service's error, such as ``pool_not_found``.
        arguments: The parameters of the call.

    Returns:
        The end of a message: what may have been meant; empty where nothing is near.
    """
    # Loaded by the client already, and 3 ms that a call without a mistake does without.
    from difflib import get_close_matches

    from synth_pools import SynthPoolsError

    thing = code.removesuffix("_not_found")
    for parameter, value in arguments.items():
        if parameter.startswith(thing) and isinstance(value, str):
            with contextlib.suppress(SynthPoolsError, ValueError):
                near = get_close_matches(value, list_ids(client, parameter, arguments), 1)
                return f"; did you mean {near[0]}?" if near else ""
    return ""


@contextlib.contextmanager
def suggesting(client: ContainerPoolsClient, **arguments: Any) -> Iterator[None]:
    """Tell of what is not found what may have been meant.

    Args:
        client: The client.
        arguments: The parameters of the calls within.

    Raises:
        CommandError: Something is not found.
    """
    # Loaded by the client already.
    from synth_pools import NotFoundError

    try:
        yield
    except NotFoundError as error:
        near = nearest_id(client, str(error.code or ""), arguments)
        raise CommandError(f"{error}{near}", ExitStatus.NOT_FOUND) from error


def complete_ids(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Complete an id, from what the service listed some seconds ago at most."""
    name = str(parameter.name)
    words = ["complete-ids", name]
    for key, value in context.params.items():
        is_place = key.endswith("_id") and isinstance(value, str)
        words += [f"{key}={value}"] if is_place else []
        if key in ("url", "profile", "api_key_file") and value:
            words += [f"--{key.replace('_', '-')}", str(value)]
    path = _cache_path(words)
    found = _read(path)
    if found is None:
        _ask_in_background(words)
        give_up = time.monotonic() + _LONGEST_WAIT_SECONDS
        while found is None and time.monotonic() < give_up:
            time.sleep(_LOOK_SECONDS)
            found = _read(path)
    elif _age(path) > _FRESH_SECONDS:
        with contextlib.suppress(OSError):
            # At once, so that further keys ask no further times.
            os.utime(path)
        _ask_in_background(words)
    return [one for one in found or [] if one.startswith(begun)]


def keep_ids(words: list[str], ids: list[str]) -> None:
    """Keep ids for `complete_ids`, which asked for them with these words."""
    path = _cache_path(words)
    plain = [one for one in ids[:_MOST] if one.isprintable()]
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.write_text("".join(f"{one}\n" for one in plain), encoding="utf-8")
        fresh.replace(path)


def _cache_path(words: list[str]) -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(base if Path(base).is_absolute() else "~/.cache").expanduser()
    about = [os.environ.get(name, "") for name in ("SYNTH_BACKEND_URL", "SYNTH_PROFILE")]
    # The key decides what is seen, and no trace of it is kept: the number is one of billions.
    about.append(os.environ.get("SYNTH_API_KEY", ""))
    number = zlib.crc32("\0".join([*about, *words]).encode("utf-8", "surrogateescape"))
    return folder / "synth-pools" / "ids" / f"{words[1]}-{number:08x}"


def _read(path: Path) -> list[str] | None:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _ask_in_background(words: list[str]) -> None:
    """Start a process that asks, and outlives this one; it says nothing to anyone."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        # Not from the current directory, which may hold anything.
        command = [sys.executable, "-P", "-m", "synth_pools", *words]
        # What the shell tells its completer would make it complete, and not ask.
        environment = {
            key: value for key, value in os.environ.items() if key != "_SYNTH_POOLS_COMPLETE"
        }
        actions = [(os.POSIX_SPAWN_DUP2, nothing, number) for number in (0, 1, 2)]
        with contextlib.suppress(OSError, NotImplementedError):
            os.posix_spawn(sys.executable, command, environment, file_actions=actions, setsid=True)
    finally:
        os.close(nothing)
