"""API keys of the local backend: made, read from files, and judged without being repeated.

No frame that raises holds a key, for the sake of tracebacks that show local variables.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from .errors import BadOptionError
from .settings import Secret

_PREFIX = "sk_local_"
_LIMIT = 1024


def key_problem(key: str) -> str | None:
    """Why this could not travel in an Authorization header."""
    if not key.strip():
        return "is blank: give one, or none at all to have one made"
    if len(key) > _LIMIT or not all("!" <= character <= "~" for character in key):
        return f"must be at most {_LIMIT} ASCII characters, no spaces or control characters"
    return None


def read_key_file(path: Path) -> Secret:
    """The key in a file that holds nothing else but white space around it."""
    try:
        # Latin-1 takes any bytes; what is not ASCII is refused as such below.
        text = path.read_text(encoding="latin-1").strip()
    except OSError as error:
        raise BadOptionError(f"cannot read the key file {path}: {error.strerror}") from error
    problem = key_problem(text)
    secret = Secret(text)
    text = ""
    if problem is not None:
        raise BadOptionError(f"the key in {path} {problem}")
    return secret


def make_key_file(path: Path) -> Secret:
    """A new key in a new file, which only its owner can read from its first moment on."""
    secret = Secret(_PREFIX + secrets.token_urlsafe(32))
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    # Complete before it has its name: a crash leaves either no key or a whole one.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret.reveal() + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    return secret
