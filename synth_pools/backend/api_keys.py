"""API keys of the backend: creation, files, comparison.

Functions that raise hold no key, since tracebacks may show local variables.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from synth_pools.backend.domain import clock
from synth_pools.backend.errors import BadOptionError, DataDirError
from synth_pools.backend.settings import Secret, Settings
from synth_pools.ui.sessions import session_secret

_log = logging.getLogger(__name__)

_PREFIX = "sk_local_"
_SHORTEST, _LIMIT = 12, 1024

# Each scope includes those before it.
SCOPES = ("metrics", "read", "run", "admin")

# Longest time for which a key that was removed from the file is still valid.
_LOOK_SECONDS = 1.0
_LARGEST_FILE = 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def key_problem(key: str) -> str | None:
    """Return why a text is no valid key for an Authorization header; None for a valid key."""
    if not key.strip():
        return "is blank: give one, or none at all to have one made"
    if len(key) > _LIMIT or not all("!" <= character <= "~" for character in key):
        return f"must be at most {_LIMIT} ASCII characters, no spaces or control characters"
    if len(key) < _SHORTEST:
        return f"has less than {_SHORTEST} characters: `openssl rand -hex 32` prints a good one"
    return None


def read_key_file(path: Path) -> Secret:
    """Read the key from a file with nothing else in it but white space.

    Raises:
        BadOptionError: The file cannot be read, or holds no key.
    """
    try:
        # Latin-1 decodes any bytes; characters outside of ASCII are refused below.
        text = path.read_text(encoding="latin-1").strip()
    except OSError as error:
        raise BadOptionError(f"cannot read the key file {path}: {error.strerror}") from error
    problem = key_problem(text)
    secret = Secret(text)
    text = ""
    if problem is not None:
        raise BadOptionError(f"the key in {path} {problem}")
    return secret


def stored_key(path: Path) -> Secret:
    """Return the key in a file; the first call makes the file.

    Raises:
        BadOptionError: The file holds no key.
        DataDirError: The file cannot be written.
    """
    try:
        return read_key_file(path) if path.exists() else make_key_file(path)
    except OSError as error:
        raise DataDirError(
            f"cannot keep a key in {path.parent}: {error.strerror}; give a key of your own"
        ) from error


def make_key_file(path: Path) -> Secret:
    """Write a new key to a new file, which only its owner can ever read."""
    secret = Secret(_PREFIX + clock.url_safe_token(32))
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    # Complete before it gets its name: a crash leaves either no key or a complete one.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        # The umask may have removed permissions of the owner.
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o600)
        file.write(secret.reveal() + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    return secret


@dataclass(frozen=True, slots=True)
class NamedKey:
    """Key of a file of keys.

    Attributes:
        secret: The key itself.
        scope: The largest of its scopes.
        end: The time from which it is refused, in seconds since 1970; None if it has no end.
    """

    secret: Secret
    scope: str = SCOPES[-1]
    end: float | None = None

    @property
    def is_over(self) -> bool:
        return self.end is not None and clock.unix_time() >= self.end


class KeyRing:
    """API keys of clients: one, or several with names in a file that may change.

    The duration of a comparison reveals nothing about the keys.

    Args:
        settings: The settings, with the key or the file of several.

    Raises:
        BadOptionError: The file cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = settings.api_keys_file
        self._key = settings.api_key
        self._use({"": NamedKey(settings.api_key)})
        self._seen: object = None
        self._next_look = 0.0
        if self._file is not None:
            self._seen = _state(self._file)
            self._use(read_keys_file(self._file))

    def name_of(self, candidate: bytes) -> str | None:
        """Return the name of a key ("" for a key without a name); None if unknown or expired."""
        self._look()
        digest, matching_name = _digest(candidate), None
        for name, expected in self._digests.items():
            if hmac.compare_digest(expected, digest):
                matching_name = name
        if matching_name is None or self._keys[matching_name].is_over:
            return None
        return matching_name

    def allows(self, name: str, scope: str) -> bool:
        """Tell whether the key of a name has a scope now."""
        key = self._keys.get(name)
        return key is not None and SCOPES.index(key.scope) >= SCOPES.index(scope)

    def scopes_of(self, name: str) -> list[str]:
        """Return the scopes that the key of a name has now, smallest first."""
        return [scope for scope in SCOPES if self.allows(name, scope)]

    def session_secret(self, name: str) -> bytes | None:
        """Return the secret that signs sessions of a key; None if there is none, or it expired."""
        self._look()
        if name not in self._keys or self._keys[name].is_over:
            return None
        return session_secret(self._digests[name])

    def secrets(self) -> list[str]:
        """Return every key that may be in use, for the redaction of documents."""
        secrets = [self._key]
        if self._file is not None:
            # A file that cannot be read lets nobody in.
            with contextlib.suppress(BadOptionError):
                secrets += [key.secret for key in read_keys_file(self._file).values()]
        return [secret.reveal() for secret in secrets]

    def first_name(self) -> str:
        """Return the name of the first key."""
        return next(iter(self._digests))

    def _look(self) -> None:
        if self._file is None or clock.monotonic() < self._next_look:
            return
        self._next_look = clock.monotonic() + _LOOK_SECONDS
        state = _state(self._file)
        if state == self._seen:
            return
        self._seen = state
        try:
            self._use(read_keys_file(self._file))
        except BadOptionError as error:
            # A file that is being written neither locks out nor lets in anybody.
            _log.error("the keys stay as they were: %s", error)
        else:
            _log.warning("the keys are now those of: %s", ", ".join(self._digests))

    def _use(self, keys: dict[str, NamedKey]) -> None:
        self._keys = keys
        self._digests = {name: _digest(key.secret.reveal().encode()) for name, key in keys.items()}


def read_keys_file(path: Path) -> dict[str, NamedKey]:
    """Read the keys by name; a line is `name: key`, or a comment that begins with #.

    After the key may follow `scopes=read,run` and `expires=2027-01-31`, a day or a moment in UTC.

    Raises:
        BadOptionError: The file cannot be read, others may read it, or a line is wrong.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise BadOptionError(
                    f"others may read or write {path} (mode {mode:04o}): chmod 600 it"
                )
            # Latin-1 decodes any bytes; characters outside of ASCII are refused below.
            text = file.read(_LARGEST_FILE).decode("latin-1")
    except OSError as error:
        raise BadOptionError(f"cannot read the keys file {path}: {error.strerror}") from error
    keys: dict[str, NamedKey] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, key = (part.strip() for part in line.partition(":"))
        key, options = _split_options(key)
        problem = None if colon and _NAME.fullmatch(name) else "is not `name: key`"
        if problem is None and name in keys:
            problem = "gives a name that another line has"
        elif problem is None and (fault := key_problem(key)) is not None:
            problem = f"has a key that {fault}"
        elif problem is None and any(key == earlier.secret.reveal() for earlier in keys.values()):
            problem = "has the key of another line"
        api_key = NamedKey(Secret(key))
        if problem is None:
            try:
                api_key = _with_options(api_key.secret, options)
            except ValueError as error:
                problem = str(error)
        if problem is not None:
            # No frame of the traceback may hold a key.
            key = name = line = text = ""
            options = ()
            raise BadOptionError(f"line {number} of {path} {problem}")
        keys[name] = api_key
    if not keys:
        raise BadOptionError(f"{path} holds no keys: write lines of the form `name: key`")
    return keys


def _split_options(text: str) -> tuple[str, Sequence[str]]:
    """Split the options at the end of a line from its key."""
    words = text.split()
    first = next(
        (number for number, word in enumerate(words) if re.match(r"(scopes|expires)=", word)), None
    )
    # Without options, spaces of a key are in the text, and refused.
    return (text, ()) if first is None else (" ".join(words[:first]), words[first:])


def _with_options(secret: Secret, words: Sequence[str]) -> NamedKey:
    """Build the key of a line from its options.

    Raises:
        ValueError: An option is wrong; the message continues "line 3 of FILE".
    """
    options = {name: value for name, _, value in (word.partition("=") for word in words)}
    if len(options) < len(words) or not options.keys() <= {"scopes", "expires"}:
        raise ValueError("has more than `scopes=` and `expires=`, each once, after its key")
    scopes = options.get("scopes", SCOPES[-1]).split(",")
    if not set(scopes) <= set(SCOPES):
        raise ValueError(f"has a scope that is none of {', '.join(SCOPES)}")
    end = None
    if "expires" in options:
        try:
            moment = datetime.fromisoformat(options["expires"])
        except ValueError:
            raise ValueError("has an end that is no date: write expires=2027-01-31") from None
        end = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return NamedKey(secret, max(scopes, key=SCOPES.index), end)


def _state(path: Path) -> object:
    try:
        status = path.stat()
    except OSError as error:
        return error.errno
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
