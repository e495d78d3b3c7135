"""Files that commands write, under one rule.

``-`` is standard output. A device or a pipe is written through, and a link is followed. A regular
file appears when it is complete, and replaces another one only with ``--force``.
"""

from __future__ import annotations

import contextlib
import csv
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import click

from synth_pools.cli.failures import CommandError

FILE = click.Path(path_type=Path, allow_dash=True)


def force_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option that replaces files."""
    option = click.option("--force", is_flag=True, help="Replace a file that exists.")
    decorated: Callable[..., Any] = option(command)
    return decorated


@contextlib.contextmanager
def complete_file(target: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield the path of a draft, which is written to the target when the block has ended.

    Raises:
        CommandError: The target exists, or cannot be written.
    """
    check_writable(target, force=force)
    with reported(target):
        if is_stream(target):
            with tempfile.TemporaryDirectory(prefix="synth-pools-") as folder:
                draft = Path(folder, "draft")
                yield draft
                with draft.open("rb") as source, open_stream(target) as stream:
                    shutil.copyfileobj(source, stream)
            return
        path = Path(os.path.realpath(target))
        draft = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            yield draft
            _keep(draft, path, force=force)
        finally:
            draft.unlink(missing_ok=True)


def check_writable(target: Path, *, force: bool = False) -> None:
    """Check a target before the work for it is done.

    Raises:
        CommandError: It exists and may not be replaced, or cannot be written.
    """
    with reported(target):
        if is_stream(target):
            return
        path = Path(os.path.realpath(target))
        if target.is_dir():
            raise CommandError(f"{target}: cannot be written: it is a folder")
        if not path.parent.is_dir():
            raise CommandError(f"{target}: cannot be written: there is no folder {path.parent}")
        if path.exists() and not force:
            raise _exists(target)


def check_distinct(target: Path | None, *sources: Path | None) -> None:
    """Refuse a target that is a file which the command reads, or writes in another way.

    Raises:
        CommandError: They are the same file.
    """
    for source in sources:
        if target and source and os.path.realpath(target) == os.path.realpath(source):
            raise CommandError(f"{target} is both what is read and what is written: name two files")


def is_stream(target: Path) -> bool:
    """Check for a target that is written through: no regular file, or an output of the process."""
    if _descriptor(target) is not None:
        return True
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as CSV, whose lines end with a line feed alone."""
    with path.open("w", encoding="utf-8", newline="") as file:
        # Up to Python 3.12 a carriage return is quoted only where lines end with it.
        write = file.write
        lines: Any = SimpleNamespace(write=lambda line: write(line.removesuffix("\r\n") + "\n"))
        csv.writer(lines).writerows(rows)


def is_stdout(target: Path | None) -> bool:
    """Check for standard output; messages to people then go to standard error."""
    return target is not None and _descriptor(target) == 1


def open_stream(target: Path) -> BinaryIO:
    """Open a stream for writing, without emptying it."""
    descriptor = _descriptor(target)
    if descriptor is None:
        return os.fdopen(os.open(target, os.O_WRONLY | os.O_NOCTTY), "wb")
    sys.stdout.flush()
    return os.fdopen(os.dup(descriptor), "wb")


def _descriptor(target: Path) -> int | None:
    """Return the descriptor of an output of this process; None for any other target."""
    if str(target) == "-":
        return 1
    for descriptor in (1, 2):
        # `/dev/stdout` has the kind of the file that the shell has redirected it to.
        with contextlib.suppress(OSError):
            if os.path.samestat(target.stat(), os.fstat(descriptor)):
                return descriptor
    return None


def _keep(draft: Path, path: Path, *, force: bool) -> None:
    if not force:
        # Unlike a rename, it fails for a file that another program has made since.
        with contextlib.suppress(PermissionError, NotImplementedError):
            os.link(draft, path)
            return
        if path.exists():
            raise _exists(path)
    with contextlib.suppress(FileNotFoundError):
        shutil.copymode(path, draft)
    draft.replace(path)


def _exists(target: Path) -> CommandError:
    return CommandError(f"{target} is there already: name another file, or give --force")


@contextlib.contextmanager
def reported(target: Path) -> Iterator[None]:
    """Turn errors of a file that is written into a `CommandError`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        raise CommandError(f"{target}: cannot be written: {error.strerror or error}") from None
