"""`synth-pools serve`: the local backend in the foreground."""

from __future__ import annotations

import gc
import logging
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import Field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pools.backend.errors import LocalBackendError, StoreAwayError
from synth_pools.backend.limits import Limits
from synth_pools.backend.settings import BackendOptions, Option
from synth_pools.cli.failures import CommandError, ExitStatus, needing
from synth_pools.cli.local.log_format import FORMATS, LEVELS, configure
from synth_pools.cli.options import (
    bytes_of,
    default_data_dir,
    in_one_argument,
    names_of,
    seconds_of,
)
from synth_pools.cli.signals import StopSignals

if TYPE_CHECKING:
    from synth_pools.backend.local_backend import LocalBackend

_KEY_VARIABLE = "SYNTH_POOLS_API_KEY"
_WATCH_SECONDS = 0.5
_GARBAGE_THRESHOLD = 10_000
# Pauses while the database is away.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
_SECONDS = "_seconds"

# Attributes of options by their kinds; the others depend on the option.
_FORMS: dict[str, dict[str, Any]] = {
    "flag": {"is_flag": True},
    "duration": {"callback": seconds_of, "metavar": "TIME"},
    "size": {"callback": bytes_of, "metavar": "SIZE"},
    "folder": {"metavar": "FOLDER"},
    "ray": {"metavar": "ADDRESS"},
    "bucket": {"metavar": "URL"},
    "endpoint": {"metavar": "URL"},
    "hosts": {"multiple": True, "metavar": "HOST", "callback": names_of},
    "networks": {"multiple": True, "metavar": "NETWORK", "callback": names_of},
    "folders": {"multiple": True, "metavar": "FOLDER"},
    "variables": {"multiple": True, "metavar": "NAME"},
}

_log = logging.getLogger(__name__)


_Decorator = Callable[[Callable[..., int]], Callable[..., int]]


def backend_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of a backend to a command, which gets them as one argument, `options`."""
    served = {
        name: option
        for name, option in BackendOptions.by_field().items()
        if option.kind is not None
    }
    names = [option.name for option in served.values()]
    defaults = {field.name: field.default for field in fields(BackendOptions)}
    options = (_backend_option(option, defaults[name]) for name, option in served.items())
    return in_one_argument(command, "options", dict, names, options)


def limit_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add an option for each limit to a command, which gets them as one argument, `limits`."""
    names = [limit.name for limit in fields(Limits)]
    return in_one_argument(command, "limits", Limits, names, map(_limit_option, fields(Limits)))


def _backend_option(option: Option, default: Any) -> _Decorator:
    flag = f"--{option.name.replace('_', '-')}"
    form: dict[str, Any] = _FORMS.get(str(option.kind), {})
    if option.kind == "seconds":
        form = {
            "type": click.FloatRange(0, option.most, min_open=option.above_zero),
            "default": default if option.serve_default is None else option.serve_default,
            "show_default": True,
            "metavar": "SECONDS",
        }
    elif option.kind == "store":
        form = {"metavar": "URL", "envvar": f"SYNTH_POOLS_{option.name.upper()}"}
    elif option.kind in ("folders", "variables"):
        # The option is repeated, with one name each time.
        flag = flag.removesuffix("s")
    return click.option(flag, option.name, help=option.help, **form)


def _limit_option(limit: Field[Any]) -> _Decorator:
    is_time = limit.name.endswith(_SECONDS)
    most = limit.metadata["most"]
    return click.option(
        f"--{limit.name.removesuffix(_SECONDS).replace('_', '-')}",
        limit.name,
        type=click.FloatRange(min=0, min_open=True) if is_time else click.IntRange(1, most),
        default=limit.default,
        show_default=True,
        metavar="SECONDS" if is_time else "N",
        help=limit.metadata["help"],
    )


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
    "a change of it counts at once. After a key may follow `scopes=read,run` (of metrics, read, "
    "run, admin) and `expires=2027-01-31`.",
)
@backend_options
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
    help="What the log tells: info is every change of state of a pool and every end of a rollout, "
    "too, and debug also its admission and starts; warning and error are only what goes wrong.",
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
    options: dict[str, Any],
    log_format: str,
    log_level: str,
    limits: Limits,
    unexpected: tuple[str, ...],
) -> int:
    """Serve container pools on this machine until ^C or SIGTERM.

    The first line on standard output names the URL, once it answers. Exit status: 0 after a clean
    stop, 2 if something is wrong with an option, 1 if the backend broke down.

    \b
    Example:
      synth-pools serve --port 8080 --data-dir ./pools
    """
    if unexpected:
        # The value is not in the message: it may be the rest of a key without quotes.
        raise click.UsageError("`serve` takes options only, and was given something else as well")
    if find_spec("fcntl") is None:
        raise CommandError("the local backend needs Linux or macOS")
    with needing("`serve`", "local"):
        # Imported here: other commands do not need the extra `local`.
        from synth_pools.backend.api_keys import read_key_file
        from synth_pools.backend.local_backend import LocalBackend

    configure(log_format, log_level)
    if sum(source is not None for source in (api_key, api_key_file, api_keys_file)) > 1:
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
                limits=limits,
                **options,
            )
            if not _started(backend, signals):
                return 0
            # Loaded modules are no garbage; examining them repeatedly costs 5 % of the time.
            gc.freeze()
            gc.set_threshold(_GARBAGE_THRESHOLD, 20, 20)
            if backend.key_file is not None:
                hint = _cat(backend.key_file)
            _announce(backend, hint)
            while backend.running and not signals.wait(_WATCH_SECONDS):
                pass
            was_running = backend.running
            _stop(backend)
    except LocalBackendError as error:
        raise CommandError(str(error)) from error
    if not was_running:
        raise CommandError("the backend ended without being asked to", ExitStatus.FAILED)
    return 0


def _started(backend: LocalBackend, signals: StopSignals) -> bool:
    """Start a backend, once its database is there; return False if a signal came before."""
    former, pause = "", _SHORTEST_PAUSE
    while True:
        try:
            backend.start()
            return True
        except StoreAwayError as error:
            if str(error) != former:
                former = str(error)
                _log.warning("waiting for the database: %s", former)
        if signals.wait(pause):
            return False
        pause = min(2 * pause, _LONGEST_PAUSE)


def _announce(backend: LocalBackend, key: str) -> None:
    # A log must not hold what logs in.
    watching = f"Watch it in a browser, and log in with the key: {backend.url}/ui/"
    if sys.stdout.isatty():
        watching = (
            "Watch it in a browser; this link logs in once, within an hour:\n"
            f"  {backend.page_url()}"
        )
    # One write: a reader of the first line may close the pipe after it.
    sys.stdout.write(
        f"The local backend answers at {backend.url}\n"
        f"It keeps its data in {backend.data_dir}\n"
        "\n"
        "Clients in another terminal find it with:\n"
        f"  export SYNTH_BACKEND_URL={backend.url}\n"
        f"  export SYNTH_API_KEY={key}\n"
        "\n"
        f"{watching}\n"
        "\n"
        "Stop it with ^C.\n"
    )
    sys.stdout.flush()


def _stop(backend: LocalBackend) -> None:
    try:
        backend.stop()
    except LocalBackendError as error:
        click.echo(f"synth-pools: error: {error}", err=True)
        # Otherwise Python waits without limit for the threads of a backend that did not stop.
        logging.shutdown()
        os._exit(ExitStatus.FAILED)


def _cat(key_file: Path) -> str:
    return f'"$(cat {shlex.quote(str(key_file))})"'
