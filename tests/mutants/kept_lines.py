"""Lines that the tests of a room run, kept from one measurement to the next.

Measuring takes minutes, and most of a work tree is as it was. A test whose own file is as it was is
taken to run what it ran, and a line that is new the tests of the lines around it. Where that is
wrong, too few tests run a mutant: it may survive wrongly, and is never killed wrongly.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.mutants.changes import TESTS_OF, distance_of, modules_of

Lines = dict[str, dict[int, set[str]]]


@dataclass(frozen=True)
class Tree:
    """Files of a work tree, as they were when its tests were measured.

    Attributes:
        tests: Digests of the files of the tests.
        modules: Texts of the modules of the room.
    """

    tests: dict[str, str]
    modules: dict[str, str]

    @classmethod
    def of(cls, copy: Path, tests: str) -> Self:
        rooms = [room for room, folders in TESTS_OF.items() if tests in folders.split()]
        modules = {
            path: (copy / path).read_text(encoding="utf-8")
            for room in rooms
            for path in modules_of(room, copy)
        }
        digests = {
            path.relative_to(copy).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (copy / tests).rglob("test_*.py")
        }
        return cls(digests, modules)


@dataclass
class KeptLines:
    """Lines that tests ran.

    Attributes:
        tree: What the tree had.
        seconds: How long each test took that passed.
        failed: Names of the tests that did not pass.
        lines: The tests that ran each line, by module and line.
    """

    tree: Tree
    seconds: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    lines: Lines = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read what was kept; None if nothing of this Python was."""
        if not path.is_file():
            return None
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if value["python"] != sys.version:
            return None
        order = [*value["seconds"]]
        lines = {
            module: {
                int(line): {order[number] for number in numbers} for line, numbers in of.items()
            }
            for module, of in value["lines"].items()
        }
        tree = Tree(value["tests"], value["modules"])
        return cls(tree, value["seconds"], set(value["failed"]), lines)

    def write(self, path: Path) -> None:
        order = {name: number for number, name in enumerate(self.seconds)}
        value = {
            "python": sys.version,
            "tests": self.tree.tests,
            "modules": self.tree.modules,
            "seconds": self.seconds,
            "failed": sorted(self.failed),
            "lines": {
                module: {line: sorted(order[name] for name in names) for line, names in of.items()}
                for module, of in self.lines.items()
            },
        }
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")

    def move_to(self, tree: Tree) -> list[str]:
        """Adapt it to another tree; return the files of tests to measure anew."""
        stale = {file for file, digest in tree.tests.items() if self.tree.tests.get(file) != digest}
        for module in tree.modules.keys() - self.tree.modules.keys():
            stale |= {file for file in tree.tests if distance_of(module, file) < 2}
        kept = tree.tests.keys() - stale
        self.seconds = {name: each for name, each in self.seconds.items() if file_of(name) in kept}
        self.failed = {name for name in self.failed if file_of(name) in kept}
        self.lines = {
            module: {
                line: names & self.seconds.keys()
                for line, names in moved(
                    self.lines.get(module, {}), self.tree.modules[module], text
                ).items()
            }
            for module, text in tree.modules.items()
            if module in self.tree.modules
        }
        self.tree = tree
        return sorted(stale)

    def add(self, other: KeptLines) -> None:
        self.seconds |= other.seconds
        self.failed |= other.failed
        for module, of in other.lines.items():
            known = self.lines.setdefault(module, {})
            for line, names in of.items():
                known[line] = known.get(line, set()) | names


def moved(lines: dict[int, set[str]], before: str, after: str) -> dict[int, set[str]]:
    """Follow the lines of a module into its new text; new ones have the tests of those around."""
    if before == after:
        return lines
    found: dict[int, set[str]] = defaultdict(set)
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    for tag, first, last, new_first, new_last in matcher.get_opcodes():
        if tag == "equal":
            for offset in range(last - first):
                found[new_first + offset + 1] = lines.get(first + offset + 1, set())
        else:
            around = set[str]().union(*(lines.get(each, ()) for each in range(first, last + 2)))
            for line in range(new_first + 1, new_last + 1):
                found[line] = around
    return found


def file_of(name: str) -> str:
    """Name the file of a test."""
    return name.partition("::")[0]
