"""Redaction of secrets in documents for diagnosis.

No rule finds every secret. These mask values of secret-sounding names, texts that look like
secrets, and the secrets of this process; they mask too much rather than too little.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from synth_pools.serving.masking import SHORTEST_SECRET, pattern_of_secrets

MASK = "[redacted]"

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset(
    {"apikey", "apikeys", "auth", "authorization", "bearer", "cookie", "cookies", "credential"}
    | {"credentials", "passphrase", "passwd", "password", "passwords", "pwd", "secret", "secrets"}
    | {"signature", "token", "tokens"}
)
_SECRET_PAIRS = frozenset({("api", "key"), ("access", "key"), ("private", "key")})
_KEY_WORDS = frozenset({"key", "keys"})
# Counts of tokens are not secrets.
_COUNTED_WORDS = frozenset({"token", "tokens", "key", "keys"})

# Bounded, and without a start that could match again at every letter of a long word.
_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)([^\s/?#@\"'<>]*@)?([^\s?#\"'<>]*)(\?[^\s#\"'<>]*)?"
)
_ASSIGNMENT = re.compile(
    r"""(?ix)
    ( (?: api[_-]?key | access[_-]?key | private[_-]?key | secret | passw(?:or)?d
        | authorization | credential | cookie | token ) s? )
    ( \\*["']? \s{0,9} [:=] \s{0,9} (?: \\*["'] )? (?: (?:bearer|basic) \s{1,9} )? )
    ( [^\s"'\\,;&<>]+ )
    """
)
_SPOKEN = re.compile(r"\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
# Formats of keys of common services.
_SHAPES = re.compile(
    r"\b(?:(?:sk|pk|rk|xox[a-z]|gh[a-z]|hf|glpat)[-_]|AKIA|AIza|eyJ)[-_A-Za-z0-9.]{12,}"
)
_OPTION = re.compile(r"--?[A-Za-z][\w-]*")


class Redactor:
    """Mask for secrets.

    Args:
        secrets: Texts that are masked wherever they appear; texts under 8 characters are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = pattern_of_secrets(text for text in secrets if len(text) >= SHORTEST_SECRET)

    def document(self, value: Any, name: str = "", *, is_secret: bool = False) -> Any:
        """Return the same JSON with a mask in place of every secret.

        Args:
            value: Any JSON value.
            name: The name of the value.
            is_secret: True if all texts in the value are secrets, because of a name above it.
        """
        # Loops take one frame for each level: documents may be as deep as Python's limit allows.
        if isinstance(value, str):
            return MASK if is_secret and value else self.text(value)
        if isinstance(value, dict):
            masked: dict[str, Any] = {}
            pair = _name_of_pair(value)
            for key, item in value.items():
                is_inner_secret = (
                    is_secret
                    or names_secret(key)
                    or (key == "value" and names_secret(pair))
                    or (name == "process" and key == "env")
                )
                masked[self.text(key)] = (
                    MASK
                    if _is_secret_number(key, item)
                    else self.document(item, key, is_secret=is_inner_secret)
                )
            return masked
        if isinstance(value, list):
            items: list[Any] = []
            follows_option = False
            for item in value:
                items.append(self.document(item, name, is_secret=is_secret or follows_option))
                follows_option = (
                    isinstance(item, str)
                    and _OPTION.fullmatch(item) is not None
                    and names_secret(item)
                )
            return items
        return value

    def text(self, text: str) -> str:
        """Mask secrets in a text that may hold URLs, headers or assignments."""
        text = self._secrets.sub(MASK, text)
        if "://" in text:
            text = _URL.sub(_url_without_secrets, text)
        text = _ASSIGNMENT.sub(rf"\1\2{MASK}", text)
        text = _SPOKEN.sub(rf"\1{MASK}", text)
        return _SHAPES.sub(MASK, text)


def names_secret(name: str) -> bool:
    """Return True for a name whose values are secrets."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words:
        return False
    pairs = set(itertools.pairwise(words))
    return (
        not _SECRET_WORDS.isdisjoint(words)
        or words[-1] in _KEY_WORDS
        or not _SECRET_PAIRS.isdisjoint(pairs)
    )


def _is_secret_number(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not names_secret(name):
        return False
    return _COUNTED_WORDS.isdisjoint(word.lower() for word in _WORDS.findall(name))


def _name_of_pair(value: Mapping[str, Any]) -> str:
    """Return the name in `{"name": ..., "value": ...}`, the form of entries in lists of headers."""
    name = value.get("name", value.get("key"))
    return name if isinstance(name, str) and "value" in value else ""


def _url_without_secrets(match: re.Match[str]) -> str:
    scheme, user, rest, query = match.groups()
    user = f"{MASK}@" if user else ""
    query = f"?{MASK}" if query and len(query) > 1 else query or ""
    return f"{scheme}{user}{rest}{query}"
