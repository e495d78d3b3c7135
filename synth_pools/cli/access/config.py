"""`synth-pools config`: profiles, which are named services."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from synth_pools.cli.access.profiles import (
    ProfileFile,
    ServiceProfile,
    check_name,
    config_path,
    forget_key,
    read_profiles,
    store_key,
    write_profiles,
)
from synth_pools.cli.failures import CommandError, ExitStatus, did_you_mean
from synth_pools.cli.groups import HELP_NAMES, SuggestingGroup
from synth_pools.cli.output import grid, write_text

_LONGEST_KEY = 4096
_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")


@click.group(cls=SuggestingGroup, context_settings=HELP_NAMES)
def config() -> None:
    """Keep services and their keys under names.

    A command uses the profile that --profile or SYNTH_PROFILE names, else the current one.
    SYNTH_BACKEND_URL and SYNTH_API_KEY come before it, unless --profile names it. A key is sent to
    the service of its profile alone.
    """


@config.command("set")
@click.argument("name")
@click.option("--url", metavar="URL", help="The service. [default: the hosted one]")
@click.option("--key", metavar="-", help="Read the key from standard input, or ask for it: -.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Use the key in this file, which only its owner may read.",
)
@click.option("--keyring", is_flag=True, help="Keep the key in the keyring of the system.")
def set_profile(
    name: str, url: str | None, key: str | None, key_file: Path | None, keyring: bool
) -> int:
    """Add a profile, or change its options.

    The key is kept in a file that only its owner can read, or with --keyring in the keyring. It is
    never an argument: others on this machine could read it in the list of processes.

    \b
    Example:
      synth-pools config set local --url http://127.0.0.1:8080
    """
    check_name(name)
    if url is not None and not _URL.fullmatch(url.strip()):
        # The value is not in the message: it may be a key.
        raise CommandError("--url takes the address of a service, like http://127.0.0.1:8080")
    if key not in (None, "-"):
        # The value is not in the message: it is a key.
        raise CommandError("--key takes - alone, and reads the key from standard input")
    if key is not None and key_file is not None:
        raise CommandError("give --key - or --key-file, not both")
    file = read_profiles()
    former = file.profiles.get(name, ServiceProfile(name))
    place, in_keyring = former.key_file, former.in_keyring
    if key_file is not None:
        place, in_keyring = str(key_file.expanduser().absolute()), False
    elif key is not None:
        place, in_keyring = store_key(name, _asked_key(), in_keyring=keyring), keyring
    address = former.url if url is None else url.strip()
    write_profiles(file.with_profile(ServiceProfile(name, address, place, in_keyring)))
    return 0


def _asked_key() -> str:
    if sys.stdin.isatty():
        text = str(click.prompt("API key", hide_input=True, err=True))
    else:
        text = sys.stdin.read(_LONGEST_KEY + 1)
    key = text.strip()
    if not key or len(key) > _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise CommandError("what came is no key: printable ASCII characters, on one line")
    return key


@config.command("use")
@click.argument("name")
def use_profile(name: str) -> int:
    """Make a profile the current one.

    \b
    Example:
      synth-pools config use local
    """
    file = read_profiles()
    _known(file, name)
    write_profiles(ProfileFile(name, file.profiles))
    return 0


@config.command("list")
def list_profiles() -> int:
    """List the profiles; a star is at the current one. No key is shown.

    \b
    Example:
      synth-pools config list
    """
    file = read_profiles()
    rows = [
        [
            "*" if profile.name == file.current else "",
            profile.name,
            profile.url or "-",
            profile.key_place,
        ]
        for profile in file.profiles.values()
    ]
    write_text(grid(["", "NAME", "URL", "KEY"], rows))
    return 0


@config.command("remove")
@click.argument("name")
def remove_profile(name: str) -> int:
    """Remove a profile, and its key if this program has stored it.

    \b
    Example:
      synth-pools config remove local
    """
    file = read_profiles()
    profile = _known(file, name)
    write_profiles(file.without_profile(name))
    forget_key(profile)
    return 0


@config.command("path")
def show_config_path() -> int:
    """Print the path of the file of profiles.

    \b
    Example:
      synth-pools config path
    """
    write_text(f"{config_path()}\n")
    return 0


def _known(file: ProfileFile, name: str) -> ServiceProfile:
    if name not in file.profiles:
        hint = did_you_mean(name, file.profiles)
        raise CommandError(f"there is no profile {name[:64]!r}{hint}", ExitStatus.NOT_FOUND)
    return file.profiles[name]
