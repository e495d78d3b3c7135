"""Archives that are made while they are sent."""

from __future__ import annotations

import io
import random
import zipfile

import pytest

from synth_pools.backend.artifacts.zip_stream import Entry, zip_pieces

# Nothing that could be made smaller.
CONTENT = [random.Random(7).randbytes(100_000) for _ in range(12)]


@pytest.mark.parametrize("size", [None, sum(map(len, CONTENT))])
def test_it_comes_in_pieces_as_its_files_are_read(size: int | None) -> None:
    entries = [Entry("a/b.bin", iter(CONTENT), size), Entry("c.txt", [b"c"])]
    pieces = list(zip_pieces(entries, "2026-11-26T10:20:30+00:00"))
    assert len(pieces) >= 5
    assert max(map(len, pieces)) < 400_000
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert archive.read("a/b.bin") == b"".join(CONTENT)
        assert archive.read("c.txt") == b"c"
        assert archive.getinfo("c.txt").date_time == (2026, 11, 26, 10, 20, 30)


@pytest.mark.parametrize("year", [1979, 2108])
def test_a_time_that_the_format_does_not_know_is_its_first(year: int) -> None:
    content = b"".join(zip_pieces([Entry("c", [b"c"])], f"{year}-05-06T07:08:09+00:00"))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.getinfo("c").date_time == (1980, 1, 1, 0, 0, 0)
