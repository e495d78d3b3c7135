"""Safe paths of artifacts: relative, unambiguous and harmless on every system."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_LONGEST_SEGMENT = 120
_LONGEST_PATH = 480
_MOST_SEGMENTS = 16
# A suffix up to this length is kept when its name is cut.
_LONGEST_SUFFIX = 16

# Characters with a special meaning on Windows, and the percent sign, in case of double decoding.
_SPECIAL = re.compile(r'[<>:"|?*%]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def safe_paths(names: Iterable[str]) -> list[str]:
    """Give each name a unique path that is no parent of another path.

    Safe paths stay as they are.

    Args:
        names: The artifacts' names, as containers chose them.

    Returns:
        The paths, in the order of the names.
    """
    used: set[str] = set()
    folders: set[str] = set()
    # Copies of each path: a thousand equal names must not take a million tries.
    copies_by_path: dict[str, int] = {}
    paths = []
    for number, name in enumerate(names, 1):
        preferred = _clean(name) or f"artifact-{number}"
        if any(_folded(parent) in used for parent in _parents(preferred)):
            preferred = _cut(preferred.replace("/", "_"), _LONGEST_SEGMENT)
        path, key = preferred, _folded(preferred)
        copies = copies_by_path.get(key, 1)
        while _folded(path) in used or _folded(path) in folders:
            copies += 1
            path = _numbered(preferred, copies)
        copies_by_path[key] = copies
        used.add(_folded(path))
        folders.update(_folded(parent) for parent in _parents(path))
        paths.append(path)
    return paths


def _clean(name: str) -> str:
    text = unicodedata.normalize("NFC", name.replace("\\", "/"))
    # A drive letter is a place, not part of a name.
    text = re.sub(r"^[A-Za-z]:", "", text)
    segments = [_clean_segment(segment) for segment in text.split("/")]
    last_segments = [segment for segment in segments if segment][-_MOST_SEGMENTS:]
    # One segment alone is always short enough.
    while len("/".join(last_segments)) > _LONGEST_PATH:
        del last_segments[0]
    return "/".join(last_segments)


def _clean_segment(segment: str) -> str:
    # Control, format, surrogate, private and unassigned characters; line and paragraph separators.
    if not (segment.isascii() and segment.isprintable()):
        segment = "".join(
            "_" if unicodedata.category(character) in _UNSEEN else character
            for character in segment
        )
    text = _SPECIAL.sub("_", segment).strip(" ").rstrip(" .")
    if _DEVICES.fullmatch(text):
        text = f"_{text}"
    return _cut(text, _LONGEST_SEGMENT).rstrip(" .")


_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def _cut(text: str, most: int) -> str:
    """Cut a text to a number of bytes in UTF-8, the unit of file systems."""
    if len(text.encode()) <= most:
        return text
    stem, dot, suffix = text.rpartition(".")
    suffix = dot + suffix
    if not stem or len(suffix.encode()) > _LONGEST_SUFFIX:
        stem, suffix = text, ""
    room = most - len(suffix.encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(" .") + suffix


def _numbered(path: str, number: int) -> str:
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    ending = f"-{number}{dot}{suffix}"
    return folder + slash + _cut(stem, _LONGEST_SEGMENT - len(ending.encode())) + ending


def _parents(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _folded(path: str) -> str:
    """Fold a path as case-insensitive file systems do."""
    return unicodedata.normalize("NFC", path.casefold())
