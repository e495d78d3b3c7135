"""The rewriting of async code as sync code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codegen import CodegenError, unasync


@pytest.mark.parametrize(
    ("written", "derived"),
    [
        ("class AsyncContainerPoolsClient:", "class ContainerPoolsClient:"),
        ("AsyncPoolsClient, AsyncSynthClient", "PoolsClient, SynthClient"),
        ("class _AsyncPages(AsyncTransport):", "class _Pages(Transport):"),
        ("httpx.AsyncClient(timeout=1)", "httpx.Client(timeout=1)"),
        ("httpx.AsyncByteStream", "httpx.SyncByteStream"),
        ("async def f() -> AsyncIterator[int]:", "def f() -> Iterator[int]:"),
        ("AsyncGenerator[int, None]", "Generator[int, None]"),
        ("async with client as c, other:", "with client as c, other:"),
        ("[x async for x in pages]", "[x for x in pages]"),
        ("return await self.call(await body())", "return self.call(body())"),
        ("raise StopAsyncIteration", "raise StopIteration"),
        ("def __aenter__(self)", "def __enter__(self)"),
        ("await super().__aexit__(a, b, c)", "super().__exit__(a, b, c)"),
        ("__aiter__ __anext__", "__iter__ __next__"),
        ("await self.aclose()", "self.close()"),
        ("closing = self.aclose", "closing = self.close"),
        ("await response.aread()", "response.read()"),
        ("async for line in r.aiter_lines():", "for line in r.iter_lines():"),
        ("await anext(events)", "next(events)"),
        ("@asynccontextmanager", "@contextmanager"),
        ("await asyncio.sleep(delay)", "time.sleep(delay)"),
        (
            "from synth_pools._client._async.pagination import X",
            "from synth_pools._client._sync.pagination import X",
        ),
        (
            "from tests.client.facade.async_.server import X",
            "from tests.client.facade.sync_.server import X",
        ),
        ("async_client = make()", "client = make()"),
        ("await t.handle_async_request(r)", "t.handle_request(r)"),
        ('"""Use `async with` and `await`ed calls."""', '"""Use `with` and `await`ed calls."""'),
        ("# An async client closes itself.", "# A sync client closes itself."),
        # A value on the wire, and names that merely look alike.
        ('mode="async"', 'mode="async"'),
        ("await_seconds = area + aiming", "await_seconds = area + aiming"),
    ],
)
def test_words(written: str, derived: str) -> None:
    assert unasync.rewrite(written) == derived


def test_a_tree(tmp_path: Path) -> None:
    source = tmp_path / "async_"
    (source / "deep").mkdir(parents=True)
    (source / "deep/test_async_pages.py").write_text("async def f() -> None:\n    ...\n")
    (source / "__init__.py").write_text("")
    (source / "notes.txt").write_text("not Python")

    unasync.derive_tree(source, tmp_path / "sync", label="tests/client/facade/async_")

    derived = {
        path.relative_to(tmp_path / "sync").as_posix(): path.read_text()
        for path in (tmp_path / "sync").rglob("*.py")
    }
    assert set(derived) == {"__init__.py", "deep/test_async_pages.py"}
    assert derived["deep/test_async_pages.py"] == (
        "# Derived by `make generate`. Change the file that it comes from:\n"
        "# tests/client/facade/async_/deep/test_async_pages.py\n\ndef f() -> None:\n    ...\n"
    )
    assert derived["__init__.py"].startswith("# Derived by")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Async test whose sync form is to be written."""
    path = tmp_path / "tests/client/async_/test_async_pages.py"
    path.parent.mkdir(parents=True)
    path.write_text("async def test_it() -> None:\n    ...\n")
    return path


def test_sync_tests_are_written_where_they_are_missing_or_older(
    tmp_path: Path, written: Path
) -> None:
    unasync.update_tests(tmp_path)
    derived = tmp_path / "tests/client/sync_/test_async_pages.py"
    assert derived.read_text() == (
        "# Derived before tests are collected. Change the file that it comes from:\n"
        "# tests/client/async_/test_async_pages.py\n\ndef test_it() -> None:\n    ...\n"
    )

    later = derived.stat().st_mtime_ns + 10**9
    written.write_text("async def test_that() -> None:\n    ...\n")
    os.utime(written, ns=(later, later))
    unasync.update_tests(tmp_path)
    assert "def test_that()" in derived.read_text()


def test_sync_tests_without_a_change_stay_the_same_files(tmp_path: Path, written: Path) -> None:
    unasync.update_tests(tmp_path)
    derived = tmp_path / "tests/client/sync_/test_async_pages.py"
    before = derived.stat().st_ino
    os.utime(written, ns=(derived.stat().st_mtime_ns,) * 2)
    unasync.update_tests(tmp_path)
    assert derived.stat().st_ino == before
    assert [path.name for path in derived.parent.iterdir()] == [derived.name]


def test_the_sync_form_of_a_removed_test_is_removed(tmp_path: Path, written: Path) -> None:
    unasync.update_tests(tmp_path)
    written.unlink()
    unasync.update_tests(tmp_path)
    assert list((tmp_path / "tests/client/sync_").rglob("*.py")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import asyncio\nasyncio.gather()\n", "asyncio.gather()"),
        ("async  def f():\n    pass\n", "async  def f():"),
        ("def f(:\n", "not Python"),
    ],
)
def test_leftovers_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/x.py").write_text(text)
    with pytest.raises(CodegenError) as caught:
        unasync.derive_tree(tmp_path / "source", tmp_path / "out", label="here")
    assert "here/x.py" in str(caught.value)
    assert message in str(caught.value)
