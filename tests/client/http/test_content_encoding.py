"""Decoding of bodies in bounded steps."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from synth_pools._client.http.content_encoding import BodyDecoder, decodable
from synth_pools._client.http.messages import ExchangeError

TEXT = bytes(range(256)) * 4000
RAW = zlib.compressobj(9, zlib.DEFLATED, -15)
DEFLATED = RAW.compress(TEXT) + RAW.flush()
ENCODED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "GZIP , identity": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "deflate, gzip": gzip.compress(zlib.compress(TEXT)),
    "identity": TEXT,
}
HALF = len(TEXT) // 2
MEMBERS = (gzip.compress(TEXT[:HALF]), gzip.compress(b""), gzip.compress(TEXT[HALF:]))


@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.parametrize("step", [1, 7, 100_000_000])
def test_encoded_bodies(encoding: str, step: int) -> None:
    data = ENCODED[encoding]
    check(encoding, [data[start : start + step] for start in range(0, len(data), step)])


@pytest.mark.parametrize("step", [1, 100_000_000])
def test_deflate_without_a_head(step: int) -> None:
    pieces = [DEFLATED[start : start + step] for start in range(0, len(DEFLATED), step)]
    check("deflate", pieces)


@pytest.mark.parametrize("step", [1, 7, 100_000_000])
@pytest.mark.parametrize("padding", [b"", bytes(9)])
def test_several_members_are_one_body(step: int, padding: bytes) -> None:
    data = b"".join(member + padding for member in MEMBERS)
    check("gzip", [data[start : start + step] for start in range(0, len(data), step)])
    nested = gzip.compress(data)
    check("gzip, gzip", [nested[start : start + step] for start in range(0, len(nested), step)])


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        (MEMBERS[2][:-1], "RemoteProtocolError"),
        (b"\x1f", "RemoteProtocolError"),
        (b"no", "DecodingError"),
    ],
    ids=["cut", "begun", "no gzip"],
)
def test_a_further_member_that_is_broken_is_an_error(more: bytes, cause: str) -> None:
    decoder = BodyDecoder("gzip")
    with pytest.raises(ExchangeError) as caught:
        list(decoder.feed(MEMBERS[0] + more))
        decoder.end()
    assert caught.value.cause == cause


def test_a_body_without_output_is_refused_early() -> None:
    # The name of a file in the header of gzip has no limit.
    silent = b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 200_000_000
    nested = gzip.compress(silent)
    assert len(nested) < 200_000
    for encoding, body in (("gzip", silent[:2_000_000]), ("gzip, gzip", nested)):
        tracemalloc.start()
        with pytest.raises(ExchangeError, match="holds nothing"):
            list(BodyDecoder(encoding).feed(body))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()
    with pytest.raises(ExchangeError, match="more than twice"):
        BodyDecoder("gzip, gzip, gzip")


def check(encoding: str, pieces: list[bytes]) -> None:
    decoder = BodyDecoder(encoding)
    out = [part for piece in pieces for part in decoder.feed(piece)]
    decoder.end()
    assert b"".join(out) == TEXT


def test_a_bomb_is_decoded_in_steps() -> None:
    once = zlib.compress(bytes(50_000_000))
    for encoding, bomb in (("deflate", once), ("deflate, deflate", zlib.compress(once))):
        sizes = [len(part) for part in BodyDecoder(encoding).feed(bomb)]
        assert sum(sizes) == 50_000_000
        assert max(sizes) <= 65_536


@pytest.mark.parametrize(
    "data",
    [b"no gzip at all", ENCODED["gzip"][:40] + b"\xff" * 100],
    # The second contains the time, and would have another id in each process.
    ids=["no head", "broken later"],
)
def test_what_cannot_be_decoded(data: bytes) -> None:
    with pytest.raises(ExchangeError) as caught:
        list(BodyDecoder("gzip").feed(data))
    assert caught.value.cause == "DecodingError"


def test_what_ends_too_early() -> None:
    for end in (1, 9, 1000):
        decoder = BodyDecoder("gzip")
        list(decoder.feed(ENCODED["gzip"][:end]))
        with pytest.raises(ExchangeError, match="too early"):
            decoder.end()
    BodyDecoder("gzip").end()


def test_an_unknown_coding_passes_unchanged() -> None:
    decoder = BodyDecoder("br")
    assert list(decoder.feed(b"abc")) == [b"abc"]


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("gzip, deflate", "gzip, deflate"),
        ("gzip, deflate, br, zstd", "gzip, deflate"),
        ("br;q=1.0, GZIP;q=0.5", "GZIP;q=0.5"),
        ("br", "identity"),
        ("identity", "identity"),
        ("*", "identity"),
        ("", "identity"),
    ],
)
def test_only_known_codings_are_accepted(accepted: str, expected: str) -> None:
    assert decodable(accepted) == expected
