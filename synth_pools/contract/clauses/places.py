"""Lines of clauses in openapi.yaml, which a report links to."""

from __future__ import annotations

import re
from collections.abc import Iterator

_HEADING = re.compile(r"\s+## (.+)")
# A paragraph of a section that begins with its subject: "*Order.*".
_PARAGRAPH = re.compile(r"\s+\*(\w+)\.\*")
_PATH = re.compile(r"  (/[^:]*):")
_METHOD = re.compile(r"    (get|put|post|delete|patch):")
_OPERATION = re.compile(r"      operationId: (\w+)")
_GROUP = re.compile(r"  (\w+):")
_COMPONENT = re.compile(r"    (\w+):")


class Places:
    """Lines of the document by heading, paragraph, operation, route and component."""

    def __init__(self, text: str) -> None:
        self._lines = dict(reversed(list(_named_lines(text))))

    def line(self, section: str) -> int | None:
        """Return the line of a clause's section.

        Args:
            section: A heading, "heading: paragraph", an operation, a route or a component, or
                several of them with commas in between, the most exact one last.

        Returns:
            The number of the line, from 1; None if the document has no such place.
        """
        for part in reversed(section.split(", ")):
            for name in (part, part.partition(".")[0], part.partition(": ")[0]):
                if name in self._lines:
                    return self._lines[name]
        return self._lines.get(section)


def _named_lines(text: str) -> Iterator[tuple[str, int]]:
    heading = path = ""
    group = ""
    in_components = False
    for number, line in enumerate(text.splitlines(), 1):
        if match := _HEADING.fullmatch(line):
            heading = match[1]
            yield heading, number
        elif match := _PARAGRAPH.match(line):
            yield f"{heading}: {match[1].lower()}", number
        elif match := _PATH.fullmatch(line):
            path = match[1]
        elif path and (match := _METHOD.fullmatch(line)):
            yield f"{match[1].upper()} {path}", number
        elif match := _OPERATION.fullmatch(line):
            yield match[1], number
        elif re.match(r"\w", line):
            in_components = line == "components:"
        elif in_components and (match := _GROUP.fullmatch(line)):
            group = match[1]
        elif in_components and group != "examples" and (match := _COMPONENT.fullmatch(line)):
            yield match[1], number
