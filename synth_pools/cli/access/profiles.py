"""Profiles: services and the places of their keys, in the user's configuration directory."""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from synth_pools.cli.failures import CommandError, ExitStatus, needing
from synth_pools.environments.pythons import config_dir

PROFILE_VARIABLE = "SYNTH_PROFILE"
_LARGEST_KEY_FILE = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEYRING_SERVICE = "synth-pools"


@dataclass(frozen=True)
class ServiceProfile:
    """Named service; without a URL it is the hosted one."""

    name: str
    url: str = ""
    key_file: str = ""
    in_keyring: bool = False

    @property
    def has_key(self) -> bool:
        return bool(self.key_file) or self.in_keyring

    @property
    def key_place(self) -> str:
        """Place of its key, as text for users."""
        return "keyring" if self.in_keyring else self.key_file or "-"

    def read_key(self) -> str:
        """Read its key.

        Raises:
            CommandError: It cannot be read.
        """
        if not self.in_keyring:
            return read_key(Path(self.key_file))
        with _keyring() as keyring:
            key = keyring.get_password(_KEYRING_SERVICE, self.name)
        if not key:
            raise CommandError(
                f"the keyring has no key for profile {self.name}: "
                f"synth-pools config set {self.name} --key - --keyring",
                ExitStatus.NOT_ALLOWED,
            )
        return str(key)


@dataclass(frozen=True)
class ProfileFile:
    """Profiles of a user by name, and the name of the current one."""

    current: str = ""
    profiles: dict[str, ServiceProfile] = field(default_factory=dict)

    def with_profile(self, profile: ServiceProfile) -> ProfileFile:
        """Return a copy with a profile added or replaced; the first one becomes the current one."""
        profiles = {**self.profiles, profile.name: profile}
        return replace(self, profiles=profiles, current=self.current or profile.name)

    def without_profile(self, name: str) -> ProfileFile:
        """Return a copy without a profile."""
        profiles = {key: profile for key, profile in self.profiles.items() if key != name}
        return ProfileFile("" if self.current == name else self.current, profiles)


def read_key(path: Path) -> str:
    """Read a file that holds a key.

    Raises:
        CommandError: It cannot be read, holds none, or others can read it.
    """
    path = path.expanduser()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LARGEST_KEY_FILE)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", ExitStatus.NOT_ALLOWED) from None
    if mode & 0o077 and mode & 0o170000 == 0o100000 and os.name == "posix":
        raise CommandError(
            f"{path}: others on this machine can read this key: chmod 600 {path}",
            ExitStatus.NOT_ALLOWED,
        )
    key = content.decode("utf-8", "replace").strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise CommandError(f"{path}: holds no key", ExitStatus.NOT_ALLOWED)
    return key


def config_path() -> Path:
    """Return the file of the profiles; it may not exist yet."""
    return config_dir() / "config.toml"


def current_profile(explicit: str | None = None) -> ServiceProfile | None:
    """Return the profile to use: that of an option, of the environment, or of the file.

    Raises:
        CommandError: There is no such profile, or the file cannot be used.
    """
    name = explicit or os.environ.get(PROFILE_VARIABLE, "").strip()
    file = read_profiles()
    if not name:
        return file.profiles.get(file.current)
    if name not in file.profiles:
        names = ", ".join(sorted(file.profiles)) or "none yet"
        raise CommandError(
            f"there is no profile {name!r} (there are: {names}): "
            f"synth-pools config set {name} --url URL"
        )
    return file.profiles[name]


def read_profiles() -> ProfileFile:
    """Read the profiles; none if there is no file.

    Raises:
        CommandError: The file cannot be read, or has no profiles.
    """
    path = config_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ProfileFile()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: cannot be read: {error}") from None
    # Imported here: it takes 5 ms, and a user without profiles does not need it.
    import tomllib

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"{path}: not TOML: {error}") from None
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict):
        raise CommandError(f"{path}: profiles must be a table")
    return ProfileFile(
        str(document.get("current", "")),
        {str(name): _profile(path, name, value) for name, value in profiles.items()},
    )


def _profile(path: Path, name: str, value: Any) -> ServiceProfile:
    kinds = {"url": str, "key_file": str, "keyring": bool}
    fits = isinstance(value, dict) and all(
        isinstance(inner, kinds.get(key, ())) for key, inner in value.items()
    )
    if not fits:
        raise CommandError(
            f"{path}: profile {name} must have the texts url and key_file, and keyring = true"
        )
    return ServiceProfile(
        name, value.get("url", ""), value.get("key_file", ""), value.get("keyring", False)
    )


def write_profiles(file: ProfileFile) -> None:
    """Write the profiles atomically, readable by their owner alone.

    Raises:
        CommandError: They cannot be written.
    """
    lines = [f"current = {_toml(file.current)}"] if file.current else []
    for name, profile in sorted(file.profiles.items()):
        lines += ["", f"[profiles.{_toml(name)}]"]
        lines += [f"url = {_toml(profile.url)}"] if profile.url else []
        lines += [f"key_file = {_toml(profile.key_file)}"] if profile.key_file else []
        lines += ["keyring = true"] if profile.in_keyring else []
    _write_private(config_path(), "\n".join([*lines, ""]))


def store_key(name: str, key: str, *, in_keyring: bool) -> str:
    """Store a key in the keyring, or in a file for its owner only; return the file's path, if any.

    Raises:
        CommandError: It cannot be stored there.
    """
    if in_keyring:
        with _keyring() as keyring:
            keyring.set_password(_KEYRING_SERVICE, name, key)
        return ""
    path = config_dir() / "keys" / name
    _write_private(path, f"{key}\n")
    return str(path)


def forget_key(profile: ServiceProfile) -> None:
    """Remove the key of a profile that `store_key` stored; other files stay."""
    if profile.in_keyring:
        with _keyring() as keyring, contextlib.suppress(keyring.errors.PasswordDeleteError):
            keyring.delete_password(_KEYRING_SERVICE, profile.name)
    elif profile.key_file == str(config_dir() / "keys" / profile.name):
        Path(profile.key_file).unlink(missing_ok=True)


def check_name(name: str) -> str:
    """Check the name of a profile, and return it.

    Raises:
        CommandError: It is not valid.
    """
    if _NAME.fullmatch(name) is None:
        raise CommandError(
            f"{name[:70]!r} is no name of a profile: write letters, digits and . _ -, at most 64"
        )
    return name


def _toml(text: str) -> str:
    # A JSON string is also a TOML string, except for DEL and lone surrogates.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write_private(path: Path, text: str) -> None:
    # A link leads to a file that is kept elsewhere, as with other configuration.
    path = Path(os.path.realpath(path))
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with open(fresh, "w", encoding="utf-8", opener=_owner_only) as file:
                file.write(text)
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandError(f"{path}: cannot be written: {error.strerror}") from None


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def _keyring() -> Any:
    with needing("the keyring", "keyring"):
        # Imported here: keys in files do not need it.
        import keyring
        import keyring.errors
    try:
        yield keyring
    except keyring.errors.KeyringError as error:
        raise CommandError(f"the keyring cannot be used: {' '.join(str(error).split())}") from None
