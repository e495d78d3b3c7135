"""`synth-pools backup` and `synth-pools compact`: copy or shrink the data of a backend."""

from __future__ import annotations

from pathlib import Path

import click

from synth_pools.backend.errors import LocalBackendError
from synth_pools.cli.failures import CommandError
from synth_pools.cli.files import is_stream
from synth_pools.cli.options import default_data_dir

_NO_FCNTL = "the local backend needs Linux or macOS"


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="The data directory to copy. [default: the one that `serve` uses by default]",
)
@click.option("--force", is_flag=True, help="Replace an earlier copy.")
def backup(directory: Path, data_dir: Path | None, force: bool) -> int:
    """Copy the data of a backend, as it is at this moment, to a new directory DIR.

    The backend may run meanwhile. `synth-pools serve --data-dir DIR` serves the copy, which has no
    key: a new one is made, unless `--api-key-file` names the former. Exit status: 0 once the copy
    is complete and on disk; else 2, and there is no copy.

    \b
    Example:
      synth-pools backup ./copy --data-dir ./pools
    """
    if is_stream(directory):
        raise CommandError(f"{directory}: a copy is a folder, and cannot be written there")
    try:
        # Imported here: only some systems have `fcntl`.
        from synth_pools.backend.storage.sqlite.backup import back_up
    except ModuleNotFoundError as error:
        raise CommandError(_NO_FCNTL) from error

    try:
        back_up(data_dir or default_data_dir(), directory, replace=force)
    except LocalBackendError as error:
        raise CommandError(str(error)) from error
    click.echo(f"A copy of the data is in {directory.expanduser().absolute()}")
    return 0


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="The data directory to compact. [default: the one that `serve` uses by default]",
)
def compact(data_dir: Path | None) -> int:
    """Shrink the database of a stopped backend to the size of its contents.

    From then on it also shrinks while a backend runs. The disk must have room for a second one.
    Exit status: 0 once the new database is in place; else 2, and the old one is unchanged.

    \b
    Example:
      synth-pools compact --data-dir ./pools
    """
    try:
        # Imported here: only some systems have `fcntl`.
        from synth_pools.backend.storage.sqlite import compaction
    except ModuleNotFoundError as error:
        raise CommandError(_NO_FCNTL) from error

    data_dir = (data_dir or default_data_dir()).expanduser().absolute()
    try:
        sizes = compaction.compact(data_dir)
    except LocalBackendError as error:
        raise CommandError(str(error)) from error
    click.echo(
        f"The database in {data_dir} has {sizes.after / 1e6:.1f} MB, "
        f"{(sizes.before - sizes.after) / 1e6:.1f} MB less than before"
    )
    return 0
