"""Masks of secrets in what is recorded: spellings of a text in JSON, and a mask of any of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

# Backslashes of an escape, in JSON within strings of JSON at any practical depth.
_BACKSLASHES = r"\\{{{},8}}"
# Largest number of JSON characters that spell one character.
LONGEST_SPELLING = 2 * len(r"\\\\\\\\u0000")

HIDDEN = "***"
# A shorter text is as likely to be an ordinary word, as is one of letters alone: any word stands
# for a key where none is needed.
SHORTEST_SECRET = 8
_LONG_WORD = 20
# Agents send any number of keys.
_MOST_SECRETS = 100


class Mask:
    """Mask of secrets in texts and JSON values.

    Args:
        secrets: The secrets; those under 8 characters, or 20 if all are letters, are not masked.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: list[str] = []
        self._pattern: re.Pattern[str] | None = None
        self._escape = "\\u"
        for secret in secrets:
            self.add(secret)

    def __repr__(self) -> str:
        return f"Mask({len(self._secrets)} secrets)"

    def add(self, secret: str) -> None:
        """Mask a further secret from now on."""
        is_word = len(secret) < (_LONG_WORD if secret.isalpha() else SHORTEST_SECRET)
        if not is_word and secret not in self._secrets and len(self._secrets) < _MOST_SECRETS:
            self._secrets.append(secret)
            self._pattern = None
            # Only these characters have a shorter escape.
            if not set('"/\\').isdisjoint(secret):
                self._escape = "\\"

    def text(self, text: str) -> str:
        """Return a text, which may be JSON, with a mask in place of all secrets."""
        # The pattern takes far longer, and only escapes need it.
        if self._escape not in text and not any(secret in text for secret in self._secrets):
            return text
        if not self._secrets:
            return text
        if self._pattern is None:
            self._pattern = pattern_of_secrets(self._secrets)
        return self._pattern.sub(HIDDEN, text)

    def value(self, value: Any) -> Any:
        """Return a JSON value with a mask in place of all secrets; the former stays as it is."""
        return with_texts(value, self.text)


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with all texts and names changed; the former stays as it is.

    Args:
        value: The value.
        change: Returns what takes the place of a text.
    """
    # A stack instead of recursion: values may be as deep as Python's limit allows.
    root = [value]
    unchanged: list[Any] = [root]
    while unchanged:
        node = unchanged.pop()
        entries = node.items() if isinstance(node, dict) else enumerate(node)
        for place, item in list(entries):
            if isinstance(item, str):
                node[place] = change(item)
            elif isinstance(item, dict):
                node[place] = {
                    change(name) if isinstance(name, str) else name: part
                    for name, part in item.items()
                }
                unchanged.append(node[place])
            elif isinstance(item, list):
                node[place] = list(item)
                unchanged.append(node[place])
    return root[0]


def pattern_of_secrets(secrets: Iterable[str]) -> re.Pattern[str]:
    """Compile a regular expression for all JSON spellings of secrets; of none it matches none."""
    # A secret may begin with another one.
    longest_first = sorted(set(secrets), key=len, reverse=True)
    return re.compile("|".join(map(spellings, longest_first)) or "(?!)")


def spellings(text: str) -> str:
    """Build a regular expression for all JSON spellings of a text.

    It also matches JSON within a string of JSON, where the backslashes are escaped again.
    """
    return "".join(map(_character_spellings, text))


def _character_spellings(character: str) -> str:
    bare = re.escape(character)
    if character in '"/\\':
        bare = _BACKSLASHES.format(0) + bare
    units = character.encode("utf-16-be", "surrogatepass")
    escaped = "".join(
        f"{_BACKSLASHES.format(1)}u{_either_case(units[i : i + 2].hex())}"
        for i in range(0, len(units), 2)
    )
    return f"(?:{bare}|{escaped})"


def _either_case(digits: str) -> str:
    # A flag for the case would apply to the text too.
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)
