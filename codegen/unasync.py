"""The sync variant of a tree, derived from the async one.

Files are rewritten as text, not token by token like in the library of this name: docstrings change
too, and Python 3.11 and 3.12 split an f-string into different tokens, so that the same input would
not give the same bytes. Remaining asynchronous code is an error that names the file and the line.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

from codegen import CodegenError

TREES = {
    "synth_pools/_client/_async": "synth_pools/_client/_sync",
    "synth_pools/_client/http/async_": "synth_pools/_client/http/sync_",
}
# Trees that pytest writes before it collects tests; they are not committed.
TEST_TREES = {
    "tests/client/async_": "tests/client/sync_",
    "tests/client/facade/async_": "tests/client/facade/sync_",
}

# Applied in order. The word "async" alone stays: it is also a value on the wire (`mode`).
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"\bawait\s+", ""),
        (r"\basync (?=(?:def|for|with)\b)", ""),
        (r"\bAsyncByteStream\b", "SyncByteStream"),
        (r"\bStopAsyncIteration\b", "StopIteration"),
        (r"\b(_*)Async(?=[A-Z])", r"\1"),
        (r"\b_async\b", "_sync"),
        (r"\basync_\b", "sync_"),
        (r"\b(_?)async_(?=\w)", r"\1"),
        (r"\bhandle_async_request\b", "handle_request"),
        (r"\basynccontextmanager\b", "contextmanager"),
        (r"\baclosing\b", "closing"),
        (r"\ba(close|iter|next|read|send|throw|iter_\w+|stream)(?=\()", r"\1"),
        (r"(?<=\.)a(close|read|iter_\w+)\b", r"\1"),
        (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
        (r"^(\s*)import asyncio$", r"\1import threading\n\1import time"),
        (r"\basyncio\.sleep\b", "time.sleep"),
        (r"\basyncio\.(Event|Lock)\b", r"threading.\1"),
        (r"\b([Aa])n async(?:hronous)? ", r"\1 sync "),
        (r"\basync (?=(?:client|variant|code)\b)", "sync "),
        (r"\basynchronous\b", "synchronous"),
    )
)

_BANNER = "# Derived by `make generate`. Change the file that it comes from:\n# "
_BANNER_OF_TESTS = "# Derived before tests are collected. Change the file that it comes from:\n# "

_ASYNC_NODES = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)


def banner(origin: str) -> str:
    """Return the first lines of a derived file, which name its origin."""
    return f"{_BANNER}{origin}\n"


def rewrite(text: str) -> str:
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def derive_tree(source: Path, output: Path, *, label: str, with_banner: bool = True) -> None:
    """Write the sync form of every Python file of `source` to `output`, which must not exist.

    Args:
        source: The async tree.
        output: The folder to write.
        label: Path of the async tree in messages and banners.
        with_banner: Name the origin in the first lines of each file.

    Raises:
        CodegenError: A file has asynchronous code without a sync form.
    """
    output.mkdir(parents=True)
    for path, target in _modules(source, output):
        origin = f"{label}/{path.relative_to(source).as_posix()}"
        text = _derived(path, origin)
        # A derived module already names its origin.
        if with_banner and not text.startswith(_BANNER):
            text = _with_head(text, banner(origin))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")


def update_tests(root: Path) -> None:
    """Write the sync tests that are missing or older than their async form.

    Runs that begin at the same time do each other no harm: a file is replaced as a whole, and only
    if its bytes differ.

    Raises:
        CodegenError: A test has asynchronous code without a sync form.
    """
    rules = Path(__file__).stat().st_mtime_ns
    for source, output in ((root / name, root / target) for name, target in TEST_TREES.items()):
        targets = dict(_modules(source, output))
        for path, target in targets.items():
            changed = max(rules, path.stat().st_mtime_ns)
            if not target.exists() or target.stat().st_mtime_ns <= changed:
                origin = path.relative_to(root).as_posix()
                text = _with_head(_derived(path, origin), f"{_BANNER_OF_TESTS}{origin}\n")
                _replace(target, text.encode())
        for stale in set(output.rglob("*.py")) - set(targets.values()):
            stale.unlink(missing_ok=True)


def _modules(source: Path, output: Path) -> Iterator[tuple[Path, Path]]:
    """Iterate over the modules of a tree: the async form, and the path of the sync one."""
    for path in sorted(source.rglob("*.py")):
        yield path, output / rewrite(path.relative_to(source).as_posix())


def _derived(path: Path, origin: str) -> str:
    text = rewrite(path.read_text(encoding="utf-8"))
    _refuse_leftovers(text, origin)
    return text


def _with_head(text: str, head: str) -> str:
    return f"{head}\n{text}" if text.strip() else head


def _replace(target: Path, content: bytes) -> None:
    if target.exists() and target.read_bytes() == content:
        # Younger than its source from now on.
        target.touch()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_bytes(content)
    fresh.replace(target)


def _refuse_leftovers(text: str, origin: str) -> None:
    try:
        module = ast.parse(text)
    except SyntaxError as error:
        raise CodegenError(f"{origin}: the sync form is not Python: {error.msg}") from None
    for node in ast.walk(module):
        is_asyncio = isinstance(node, ast.Name) and node.id == "asyncio"
        if is_asyncio or isinstance(node, _ASYNC_NODES):
            line = text.splitlines()[getattr(node, "lineno", 1) - 1].strip()
            raise CodegenError(f"{origin}: no sync form known for: {line}")
