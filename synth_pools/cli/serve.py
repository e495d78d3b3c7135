"""`synth-pools serve`: the local backend in the foreground."""

from __future__ import annotations

import functools
import gc
import logging
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pools.backend.limits import Limits

from .log_format import FORMATS, LEVELS, configure
from .options import bytes_of, default_data_dir, seconds_of
from .signals import StopSignals

if TYPE_CHECKING:
    from synth_pools.local import LocalBackend

_KEY_VARIABLE = "SYNTH_POOLS_API_KEY"
_WATCH_SECONDS = 0.5
_GARBAGE_THRESHOLD = 10_000
_SECONDS = "_seconds"


class _Refused(click.ClickException):
    exit_code = 2


class _BrokeDown(click.ClickException):
    exit_code = 1


def limit_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give the command the options, and their values in one argument, `limits`."""

    @functools.wraps(command)
    def with_limits(**options: Any) -> int:
        chosen = {field.name: options.pop(field.name) for field in fields(Limits)}
        return command(limits=Limits(**chosen), **options)

    decorated: Callable[..., int] = with_limits
    for field in reversed(fields(Limits)):
        is_time = field.name.endswith(_SECONDS)
        flag = field.name.removesuffix(_SECONDS).replace("_", "-")
        most = field.metadata["most"]
        decorated = click.option(
            f"--{flag}",
            field.name,
            type=click.FloatRange(min=0, min_open=True) if is_time else click.IntRange(1, most),
            default=field.default,
            show_default=True,
            metavar="SECONDS" if is_time else "N",
            help=field.metadata["help"],
        )(decorated)
    return decorated


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where pools, rollouts and the key are kept; made if need be. "
    "[default: synth-pools in the user's data directory, ~/.local/share on Linux]",
)
@click.option(
    "--api-key",
    metavar="KEY",
    help="The key that clients must send. Others on this machine can read it in the list of "
    f"processes: --api-key-file or the variable {_KEY_VARIABLE} keep it private. "
    "[default: one made at the first start and kept in the data directory]",
)
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file that holds the key.",
)
@click.option(
    "--api-keys-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file of several keys with names, one `name: key` a line, that only its owner may read; "
    "a change of it counts at once.",
)
@click.option(
    "--container-hosts",
    multiple=True,
    metavar="HOST",
    help="A host besides this machine on which containers may be reached; repeat it, or separate "
    "several by commas. With a --host that other machines can reach, this one (localhost) must be "
    "named too.",
)
@click.option(
    "--container-key-env",
    "container_key_envs",
    multiple=True,
    metavar="NAME",
    help="An environment variable from which pools may have the key of their containers taken, "
    "besides ENVIRONMENT_API_KEY and those that begin with CONTAINER_API_KEY; may be repeated.",
)
@click.option(
    "--allow-processes",
    is_flag=True,
    help="Start the processes that pools name in config.process. Whoever has a key can then run "
    "any program on this machine, as the user who runs this.",
)
@click.option(
    "--health-interval",
    type=click.FloatRange(0, 3600, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="From one look at a container to the next.",
)
@click.option(
    "--allowed-hosts",
    multiple=True,
    metavar="HOST",
    help="A name besides this machine's own by which clients may call the backend; "
    "repeat it, or separate several by commas.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0, 86_400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long rollouts that run have to end, once it is told to stop.",
)
@click.option(
    "--keep-finished",
    callback=seconds_of,
    metavar="TIME",
    help="How long rollouts are kept after their end, for example 30d. [default: for ever]",
)
@click.option(
    "--keep-artifacts",
    callback=bytes_of,
    metavar="SIZE",
    help="How much of the contents of artifacts is kept, for example 10GiB: the oldest go first. "
    "[default: all]",
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="How the log on standard error is written: for people, or one JSON object a line.",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="info",
    show_default=True,
    help="What the log tells: info is every change of state of a pool or a rollout, too; "
    "warning and error are only what goes wrong.",
)
@limit_options
@click.argument("unexpected", nargs=-1, type=click.UNPROCESSED, metavar="")
def serve(
    host: str,
    port: int,
    data_dir: Path | None,
    api_key: str | None,
    api_key_file: Path | None,
    api_keys_file: Path | None,
    container_hosts: tuple[str, ...],
    container_key_envs: tuple[str, ...],
    allow_processes: bool,
    health_interval: float,
    allowed_hosts: tuple[str, ...],
    grace: float,
    keep_finished: float | None,
    keep_artifacts: int | None,
    log_format: str,
    log_level: str,
    limits: Limits,
    unexpected: tuple[str, ...],
) -> int:
    """Serve container pools on this machine until ^C or SIGTERM.

    The first line on standard output names the URL, once it answers. Exit status: 0 after a clean
    stop, 2 if something is wrong with an option, 1 if the backend broke down.
    """
    if unexpected:
        # Not repeated: it may be the rest of a key that was not quoted.
        raise click.UsageError("`serve` takes options only, and was given something else as well")
    try:
        from synth_pools.backend.api_keys import read_key_file
        from synth_pools.backend.errors import LocalBackendError
        from synth_pools.local import LocalBackend
    except ModuleNotFoundError as error:
        raise _Refused(_what_is_missing(error)) from error

    configure(log_format, log_level)
    if sum(given is not None for given in (api_key, api_key_file, api_keys_file)) > 1:
        raise click.UsageError(
            "give one of --api-key, --api-key-file and --api-keys-file, not both or all"
        )
    hint = "the key given with --api-key"
    try:
        if api_key_file is not None:
            api_key = read_key_file(api_key_file).reveal()
            hint = _cat(api_key_file.absolute())
        elif api_keys_file is not None:
            hint = f"one of the keys in {shlex.quote(str(api_keys_file.absolute()))}"
        elif api_key is None and os.environ.get(_KEY_VARIABLE):
            api_key = os.environ[_KEY_VARIABLE]
            hint = f'"${_KEY_VARIABLE}"'
        with StopSignals() as signals:
            backend = LocalBackend(
                data_dir or default_data_dir(),
                host=host,
                port=port,
                api_key=api_key,
                api_keys_file=api_keys_file,
                container_hosts=_names(container_hosts),
                container_key_envs=container_key_envs,
                allow_processes=allow_processes,
                health_interval=health_interval,
                allowed_hosts=_names(allowed_hosts),
                limits=limits,
                grace=grace,
                keep_finished=keep_finished,
                keep_artifacts=keep_artifacts,
            )
            backend.start()
            # What is loaded by now stays: looking through it for garbage costs a twentieth of all.
            gc.freeze()
            gc.set_threshold(_GARBAGE_THRESHOLD, 20, 20)
            if backend.key_file is not None:
                hint = _cat(backend.key_file)
            _announce(backend, hint)
            while backend.running and not signals.wait(_WATCH_SECONDS):
                pass
            asked = backend.running
            _stop(backend)
    except LocalBackendError as error:
        raise _Refused(str(error)) from error
    if not asked:
        raise _BrokeDown("the backend ended without being asked to")
    return 0


def _names(texts: tuple[str, ...]) -> list[str]:
    return [name.strip() for text in texts for name in text.split(",")]


def _announce(backend: LocalBackend, key: str) -> None:
    # In one piece: whoever reads only the first line may close the pipe after it.
    sys.stdout.write(
        f"The local backend answers at {backend.url}\n"
        f"It keeps its data in {backend.data_dir}\n"
        "\n"
        "Clients in another terminal find it with:\n"
        f"  export SYNTH_BACKEND_URL={backend.url}\n"
        f"  export SYNTH_API_KEY={key}\n"
        "\n"
        "Stop it with ^C.\n"
    )
    sys.stdout.flush()


def _stop(backend: LocalBackend) -> None:
    from synth_pools.backend.errors import LocalBackendError

    try:
        backend.stop()
    except LocalBackendError as error:
        click.echo(f"synth-pools: error: {error}", err=True)
        # Python would wait for the threads of a backend that did not stop, without a limit.
        logging.shutdown()
        os._exit(_BrokeDown.exit_code)


def _cat(key_file: Path) -> str:
    return f'"$(cat {shlex.quote(str(key_file))})"'


def _what_is_missing(error: ModuleNotFoundError) -> str:
    if error.name == "fcntl":
        return "the local backend needs Linux or macOS"
    return (
        f"`serve` needs {error.name}, which the base install leaves out: "
        "pip install 'synth-pools[local]'"
    )
