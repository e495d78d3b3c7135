"""`synth-pools doctor`: a check of the installation and of the service."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from textwrap import wrap
from typing import Any, NamedTuple

import click

from synth_pools import __version__
from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import CommandError, ExitStatus
from synth_pools.cli.output import safe_text, width, write_text

# A module of each extra, and its purpose.
_EXTRAS = {
    "cli": ("rich", "YAML and progress bars"),
    "container": ("starlette", "a container of your own, without the backend"),
    "demo": ("synth_containers", "the container of `synth-pools demo`"),
    "contract": ("schemathesis", "the contract tests"),
    "gymnasium": ("gymnasium", "environments of Gymnasium as containers"),
    "harbor": ("harbor", "tasks of Harbor as containers"),
    "inspect": ("inspect_ai", "tasks of Inspect as containers"),
    "openenv": ("websockets", "environments of OpenEnv as containers"),
    "verifiers": ("verifiers", "environments of verifiers as containers"),
    "keyring": ("keyring", "keys in the keyring"),
    "local": ("uvicorn", "the local backend"),
    "parquet": ("pyarrow", "`export --format parquet`"),
    "postgres": ("asyncpg", "the backend on a PostgreSQL database"),
    "ray": ("ray", "containers on the nodes of a Ray cluster"),
    "mcp": ("mcp", "the operations as tools of coding agents"),
    "s3": ("obstore", "artifacts in S3-compatible storage"),
    "msgspec": ("msgspec", "faster decoding of large answers"),
    "uvloop": ("uvloop", "a faster event loop of the backend"),
}
_MOST_SKEW_SECONDS = 60.0


class CheckLine(NamedTuple):
    """Line of the report; its status is `ok`, `wrong`, or `-` for a missing optional part."""

    status: str
    subject: str
    finding: str


@click.command()
@connection_options
def doctor(connection: ServiceOptions) -> int:
    """Check what is installed, which service is used, and whether it answers.

    The key is used and never printed. Exit status: 0 all is well, else that of the failed check.

    \b
    Example:
      synth-pools doctor
    """
    lines = list(_installed())
    status = ExitStatus.DONE
    try:
        service = connection.resolve()
        lines.append(CheckLine("ok", "service", f"{service.url} (from {service.url_origin})"))
        lines.append(CheckLine("ok", "key", f"from {service.key_origin}"))
        lines += _service(connection)
    except CommandError as error:
        lines.append(CheckLine("wrong", "service", error.format_message()))
        status = ExitStatus(error.exit_code)
    if status is ExitStatus.DONE and any(line.status == "wrong" for line in lines):
        status = ExitStatus.FAILED
    write_text("".join(map(_wrapped, lines)))
    return status


def _wrapped(line: CheckLine) -> str:
    """Write a line of the report, wrapped at the width of the terminal."""
    head = f"{line.status:<5}  {line.subject:<14}  "
    parts = wrap(safe_text(line.finding), max(20, width() - len(head)), break_on_hyphens=False)
    return head + f"\n{' ' * len(head)}".join(parts) + "\n"


def _installed() -> Iterator[CheckLine]:
    yield CheckLine("ok", "synth-pools", __version__)
    yield CheckLine("ok", "python", f"{platform.python_version()} on {platform.platform()}")
    for name in ("httpx", "click"):
        yield CheckLine("ok", name, _version(name))
    for extra, (module, purpose) in _EXTRAS.items():
        if find_spec(module) is not None:
            yield CheckLine("ok", f"extra {extra}", purpose)
        else:
            finding = f"not installed: {purpose}: pip install 'synth-pools[{extra}]'"
            yield CheckLine("-", f"extra {extra}", finding)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _service(connection: ServiceOptions) -> Iterator[CheckLine]:
    responses: list[Any] = []
    start = time.monotonic()
    with connection.client(on_response=responses.append, max_retries=0) as client:
        capabilities = client.get_capabilities()
    took = (time.monotonic() - start) * 1000
    yield CheckLine("ok", "reachable", f"answered after {took:.0f} ms, the key is accepted")
    features = capabilities.get("features")
    if isinstance(features, dict):
        features = [name for name, is_offered in features.items() if is_offered is True]
    if features:
        yield CheckLine("ok", "features", ", ".join(map(str, features)))
    yield from _clock(responses[-1].headers.get("date") if responses else None)


def _clock(date: str | None) -> Iterator[CheckLine]:
    try:
        server_time = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        yield CheckLine("-", "clock", "the service does not say what time it is there")
        return
    skew = time.time() - server_time
    if abs(skew) <= _MOST_SKEW_SECONDS:
        yield CheckLine("ok", "clock", "that of the service, to a minute")
        return
    how = "ahead of" if time.time() > server_time else "behind"
    finding = f"{abs(skew):.0f} s {how} that of the service: set the clock of this machine"
    yield CheckLine("wrong", "clock", finding)
