"""Ids for suggestions and for completion.

A shell starts a completion process at each key press, and the user waits for it. So the process
reads a cache that another process fills in the background.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from synth_pools.cli.failures import CommandError, ExitStatus, did_you_mean, message_of

if TYPE_CHECKING:
    import click

    from synth_pools import ContainerPoolsClient

T = TypeVar("T")

_FRESH_SECONDS = 10.0
_LONGEST_WAIT_SECONDS = 1.0
_LOOK_SECONDS = 0.02
_MOST_KEPT = 1000
# Ids that are searched for a part of one.
_MOST = 5000
# Characters with which a server has ids end by chance, if they are fewer.
_SHORTEST_END = 6
_LIST_LIMIT = 100


def list_ids(
    client: ContainerPoolsClient, parameter: str, arguments: Mapping[str, Any]
) -> list[str]:
    """Ask the service for the first possible ids of a parameter, the newest first.

    Raises:
        SynthPoolsError: The service refused.
    """
    return list(islice(_iter_ids(client, parameter, arguments), _LIST_LIMIT))


def _iter_ids(
    client: ContainerPoolsClient, parameter: str, arguments: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the possible ids of a parameter, the newest first.

    The list may need other arguments, like the pool of a list of tasks; without them, and for
    parameters that no operation lists, there are no ids.
    """
    # Imported here: it takes 4 ms, and completion from the cache does not need it.
    from synth_pools.cli.operations.table import COMMANDS, ID_SOURCES

    source = ID_SOURCES.get(parameter)
    if source is None or any(not arguments.get(name) for name in source.arguments):
        return
    parameters: dict[str, Any] = {name: arguments[name] for name in source.arguments}
    row = next((row for row in COMMANDS if source.operation in dict(row.operations)), None)
    if row is not None and any(option.name == "limit" for option in row.options):
        parameters["limit"] = _LIST_LIMIT
    import json  # loaded by the client already

    while True:
        answer = json.loads(client.operations.call(source.operation, parameters))
        answer = answer if isinstance(answer, dict) else {}
        ids = (item.get(source.key) for item in answer.get("items", ()) if isinstance(item, dict))
        yield from (str(listed_id) for listed_id in ids if listed_id)
        cursor = answer.get("next_cursor")
        if not cursor or cursor == parameters.get("cursor"):
            return
        parameters["cursor"] = cursor


def full_ids(client: ContainerPoolsClient, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Replace each argument that is the beginning or the end of one id by the id."""
    result = dict(arguments)
    for parameter in arguments:
        result[parameter] = _full_id(client, parameter, result) or result[parameter]
    return result


def with_full_ids(
    client: ContainerPoolsClient,
    call: Callable[[dict[str, Any]], T],
    arguments: Mapping[str, Any],
    *,
    takes_parts: bool = True,
) -> T:
    """Call with ids; again with a whole id for each unknown one that is a part of one alone.

    Raises:
        CommandError: The service does not know an id; the message suggests another one.
    """
    # Loaded by the client already.
    from synth_pools import NotFoundError

    arguments = dict(arguments)
    while True:
        try:
            return call(arguments)
        except NotFoundError as error:
            # The error code is that of the kind of id, such as `pool_not_found`.
            kind = str(error.code or "").removesuffix("_not_found")
            names = (name for name, value in arguments.items() if isinstance(value, str) and value)
            parameter = next((name for name in names if kind and name.startswith(kind)), None)
            if parameter is None:
                raise CommandError(message_of(error), ExitStatus.NOT_FOUND) from error
            listed_id = _full_id(client, parameter, arguments) if takes_parts else None
            if listed_id in (None, arguments[parameter]):
                nearest = _nearest_id(client, parameter, arguments)
                message = f"{message_of(error)}{nearest}"
                raise CommandError(message, ExitStatus.NOT_FOUND) from error
            arguments[parameter] = listed_id


def _full_id(
    client: ContainerPoolsClient, parameter: str, arguments: Mapping[str, Any]
) -> str | None:
    """Return the id with a beginning, else with an end; None without one, and for several."""
    # Loaded by the client already.
    from synth_pools import SynthPoolsError

    part, beginning, ending = arguments[parameter], set[str](), set[str]()
    if not isinstance(part, str) or not part:
        return None
    with contextlib.suppress(SynthPoolsError, ValueError):
        for count, listed_id in enumerate(_iter_ids(client, parameter, arguments)):
            if listed_id == part:
                return part
            if listed_id.startswith(part):
                beginning.add(listed_id)
            elif listed_id.endswith(part) and len(part) >= _SHORTEST_END:
                ending.add(listed_id)
            if len(beginning) > 1 or count >= _MOST:
                return None
        matches = beginning or ending
        return matches.pop() if len(matches) == 1 else None
    return None


def _nearest_id(client: ContainerPoolsClient, parameter: str, arguments: Mapping[str, Any]) -> str:
    """Suggest an id for an unknown one; return the end of a message, or an empty text."""
    # Imported here, as all that loads the client: only an unknown id needs it.
    from synth_pools import SynthPoolsError

    with contextlib.suppress(SynthPoolsError, ValueError):
        return did_you_mean(arguments[parameter], list_ids(client, parameter, arguments))
    return ""


def complete_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete an id from the cache; renew the cache in the background once it is old."""
    name = str(parameter.name)
    words = ["complete-ids", name]
    for key, value in context.params.items():
        is_place = key.endswith("_id") and isinstance(value, str)
        words += [f"{key}={value}"] if is_place else []
        if key in ("url", "profile", "api_key_file") and value:
            words += [f"--{key.replace('_', '-')}", str(value)]
    path = _cache_path(words)
    ids = _read(path)
    if ids is None:
        _ask_in_background(words)
        give_up = time.monotonic() + _LONGEST_WAIT_SECONDS
        while ids is None and time.monotonic() < give_up:
            time.sleep(_LOOK_SECONDS)
            ids = _read(path)
    elif _age(path) > _FRESH_SECONDS:
        with contextlib.suppress(OSError):
            # Before the answer, so that further keys do not ask again.
            os.utime(path)
        _ask_in_background(words)
    return [listed_id for listed_id in ids or [] if listed_id.startswith(incomplete)]


def keep_ids(words: list[str], ids: list[str]) -> None:
    """Store ids for `complete_ids` under the words of its request."""
    path = _cache_path(words)
    plain = [text for text in ids[:_MOST_KEPT] if text.isprintable()]
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.write_text("".join(f"{text}\n" for text in plain), encoding="utf-8")
        fresh.replace(path)


def _cache_path(words: list[str]) -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(base if Path(base).is_absolute() else "~/.cache").expanduser()
    about = [os.environ.get(name, "") for name in ("SYNTH_BACKEND_URL", "SYNTH_PROFILE")]
    # The key decides which ids are visible. A checksum of 32 bits tells nothing about it.
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
    """Start a silent process that fills the cache and outlives this one."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        # -P: no module of the current directory is imported.
        command = [sys.executable, "-P", "-m", "synth_pools", *words]
        # With the shell's variable for completion it would complete instead of asking.
        environment = {
            key: value for key, value in os.environ.items() if key != "_SYNTH_POOLS_COMPLETE"
        }
        actions = [(os.POSIX_SPAWN_DUP2, nothing, number) for number in (0, 1, 2)]
        with contextlib.suppress(OSError, NotImplementedError):
            os.posix_spawn(sys.executable, command, environment, file_actions=actions, setsid=True)
    finally:
        os.close(nothing)
