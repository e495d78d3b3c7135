"""Downloads over failing networks and to failing disks, complete or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from synth_pools import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncContainerPoolsClient,
    ConflictError,
    ContentMismatchError,
    NotFoundError,
    ServerError,
)
from tests.support.contents import (
    CONTENT,
    HASH,
    Spoil,
    after,
    instead,
    names,
    part,
    reset_after,
    serving,
)
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, chunked, html, message, raw, reset, stall_at
from tests.support.surface import CONTENTS, FILES, Call, Sent

R, A = "rollout.1", "logs/out.bin"


@pytest.mark.parametrize(("call", "expected"), CONTENTS, ids=str)
async def test_bytes(
    server: FaultServer, client: AsyncContainerPoolsClient, call: Call, expected: Sent
) -> None:
    server.play(choose=serving())
    assert await call.on(client) == CONTENT
    (request,) = server.requests
    assert (request.method, request.target) == (expected.method, expected.target)
    assert request.headers["accept"] == "*/*"
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(("call", "expected"), FILES, ids=str)
async def test_files(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path, call: Call, expected: Sent
) -> None:
    server.play(choose=serving())
    target = folder / "x.bin"
    target.write_text("what was there before")
    progress: list[tuple[int, int | None]] = []

    def note(received: int, total: int | None) -> None:
        progress.append((received, total))

    path = await call._replace(args=(*call.args, target), kwargs={"on_progress": note}).on(client)
    assert path == target
    assert target.read_bytes() == CONTENT
    assert names(folder) == ["x.bin"]
    assert server.requests[0].target == expected.target
    assert (progress[0], progress[-1]) == ((0, len(CONTENT)), (len(CONTENT), len(CONTENT)))
    assert [received for received, _ in progress] == sorted(received for received, _ in progress)


@pytest.mark.parametrize(
    ("spoils", "ranges"),
    [
        ([after(100_000)], [None, "bytes=100000-"]),
        ([reset_after(1)], [None, None]),
        ([after(0)], [None, None]),
        ([after(299_999)], [None, "bytes=299999-"]),
        ([after(100_000), after(50_000)], [None, "bytes=100000-", "bytes=150000-"]),
        ([instead(reset()), after(7)], [None, None, "bytes=7-"]),
        ([after(7), instead(html(502))], [None, "bytes=7-", "bytes=7-"]),
        ([instead(answer(None, 503, Retry_After="1"))], [None, None]),
    ],
)
async def test_what_broke_off_is_taken_up_where_it_did(
    server: FaultServer,
    client: AsyncContainerPoolsClient,
    folder: Path,
    spoils: list[Spoil],
    ranges: list[str | None],
) -> None:
    server.play(choose=serving(*spoils))
    path = await client.agent_rollouts.download_artifact(R, A, folder)
    assert path.read_bytes() == CONTENT
    assert names(folder) == ["out.bin"]
    requested_ranges = [request.headers.get("range") for request in server.requests]
    if spoils[0] is not None and ranges == [None, None]:
        # A reset may discard bytes that were sent before it.
        assert requested_ranges[0] is None
        assert len(requested_ranges) == 2
    else:
        assert requested_ranges == ranges
    for request in server.requests:
        assert request.headers.get("if-range") == (
            f'"{HASH}"' if "range" in request.headers else None
        )

    server.play(choose=serving(*spoils))
    assert await client.agent_rollouts.artifact(R, A) == CONTENT


async def test_no_more_attempts_than_are_allowed(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    server.play(choose=serving(*[after(1000)] * 10))
    before = folder / "out.bin"
    before.write_text("what was there before")
    with pytest.raises(APIConnectionError, match="broke off"):
        await client.agent_rollouts.download_artifact(R, A, folder)
    assert len(server.requests) == 3
    assert before.read_text() == "what was there before"
    assert names(folder) == [before.name]
    server.play(choose=serving(after(1000)))
    once = client.with_options(max_retries=0)
    with pytest.raises(APIConnectionError):
        await once.agent_rollouts.download_artifact(R, A, folder)
    assert len(server.requests) == 1


async def test_another_content_by_now_is_read_from_its_beginning(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    first = serving(after(200_000), content=b"old" * 100_000)
    later = serving()

    def choose(request: Seen) -> Fault:
        fault: Fault = (later if "range" in request.headers else first)(request)
        return fault

    server.play(choose=choose)
    sizes: list[int] = []
    path = await client.agent_rollouts.download_artifact(
        R, A, folder, on_progress=lambda received, _: sizes.append(received)
    )
    assert path.read_bytes() == CONTENT
    assert 200_000 in sizes
    assert sizes[sizes.index(200_000) + 1] == 0


async def test_another_content_that_is_shorter(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    """A server that ignores If-Range refuses a range beyond the end."""
    short, first = b"short", serving(after(200_000))

    def choose(request: Seen) -> Fault:
        if len(server.requests) == 1:
            fault: Fault = first(request)
            return fault
        if "range" in request.headers:
            return answer({"detail": "beyond"}, 416, Content_Range="bytes */5")
        return raw(part(request, short))

    server.play(choose=choose)
    path = await client.agent_rollouts.download_artifact(R, A, folder)
    assert path.read_bytes() == short
    assert len(server.requests) == 3


@pytest.mark.parametrize("tag", ["", 'W/"weak"', "no-quotes"])
async def test_without_a_tag_everything_is_asked_for_again(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path, tag: str
) -> None:
    server.play(choose=serving(after(200_000), tag=tag))
    path = await client.agent_rollouts.download_artifact(R, A, folder)
    assert path.read_bytes() == CONTENT
    assert ["range" in request.headers for request in server.requests] == [False, False]


async def test_a_tag_that_is_no_hash_serves_to_go_on(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(choose=serving(after(200_000), tag='"v1"'))
    assert await client.agent_rollouts.artifact(R, A) == CONTENT
    assert server.requests[1].headers["if-range"] == '"v1"'


WRONG: list[tuple[str, Callable[[Seen], bytes]]] = [
    ("another content", lambda request: part(request, CONTENT[:-1] + b"!", f'"{HASH}"')),
    ("one that is shorter", lambda request: part(request, CONTENT[:-1], f'"{HASH}"')),
    (
        "more than it says",
        lambda _: message(CONTENT, 200, {"ETag": f'"{HASH}"'}, length=len(CONTENT) - 1),
    ),
]


@pytest.mark.parametrize("wrong", [wrong for _, wrong in WRONG], ids=[name for name, _ in WRONG])
async def test_what_is_not_what_it_says_is_not_kept(
    server: FaultServer,
    client: AsyncContainerPoolsClient,
    folder: Path,
    wrong: Callable[[Seen], bytes],
) -> None:
    server.play(choose=lambda request: raw(wrong(request), go_on=False))
    with pytest.raises(ContentMismatchError, match=HASH) as caught:
        await client.agent_rollouts.download_artifact(R, A, folder)
    assert caught.value.expected == HASH
    assert caught.value.actual != HASH
    assert names(folder) == []
    with pytest.raises(ContentMismatchError):
        await client.agent_rollouts.artifact(R, A)


async def test_a_rest_that_belongs_to_something_else_is_not_kept(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    matching_part = part

    def other_content(request: Seen) -> bytes:
        if "range" not in request.headers:
            return matching_part(request)
        return matching_part(request).replace(CONTENT[-1000:], bytes(1000))

    for place in (None, "bytes 5-299999/300000", "bytes 100000-299999/*", "junk"):

        def choose(request: Seen, place: str | None = place) -> Fault:
            data = other_content(request)
            if "range" not in request.headers:
                return after(100_000)(data)
            if place is not None:
                data = data.replace(b"bytes 100000-299999/300000", place.encode())
            return raw(data, go_on=False)

        server.play(choose=choose)
        with pytest.raises(ContentMismatchError):
            await client.agent_rollouts.download_artifact(R, A, folder)
        assert names(folder) == []


@pytest.mark.parametrize("total", ["*", "300000", "150000"])
async def test_a_rest_cannot_shorten_the_content(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path, total: str
) -> None:
    """The rest ends in the middle of the content, whatever total it names."""

    def choose(request: Seen) -> Fault:
        if "range" not in request.headers:
            return after(100_000)(part(request, tag='"v1"'))
        place = f"bytes 100000-149999/{total}"
        headers = {"ETag": '"v1"', "Content-Range": place}
        return raw(message(CONTENT[100_000:150_000], 206, headers))

    server.play(choose=choose)
    with pytest.raises(ContentMismatchError):
        await client.agent_rollouts.download_artifact(R, A, folder)
    assert names(folder) == []


async def test_a_rest_need_not_name_the_total_again(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    def unnamed(data: bytes) -> Fault:
        return raw(data.replace(b"/300000", b"/*"))

    progress: list[int | None] = []
    server.play(choose=serving(after(100_000), unnamed))
    path = await client.agent_rollouts.download_artifact(
        R, A, folder, on_progress=lambda _, total: progress.append(total)
    )
    assert path.read_bytes() == CONTENT
    assert set(progress) == {len(CONTENT)}


@pytest.mark.parametrize("start", [0, 100_000])
async def test_a_part_that_nobody_requested_is_refused(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path, start: int
) -> None:
    place = f"bytes {start}-299999/300000"
    headers = {"ETag": f'"{HASH}"', "Content-Range": place}
    server.play(raw(message(CONTENT[start:], 206, headers)))
    with pytest.raises(ContentMismatchError) as caught:
        await client.agent_rollouts.download_artifact(R, A, folder)
    assert (caught.value.expected, caught.value.actual) == ("bytes 0-", place)
    with pytest.raises(ContentMismatchError):
        await client.agent_rollouts.artifact(R, A)
    assert names(folder) == []


async def test_in_chunks_there_is_no_total(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    pieces = [CONTENT[start : start + 1000] for start in range(0, len(CONTENT), 1000)]
    server.play([chunked(pieces[:100], end="cut"), chunked(pieces)])
    progress: list[tuple[int, int | None]] = []

    def note(received: int, total: int | None) -> None:
        progress.append((received, total))

    path = await client.agent_rollouts.download_artifacts_zip(R, folder, on_progress=note)
    assert path.read_bytes() == CONTENT
    assert progress[-1] == (len(CONTENT), None)
    assert {total for _, total in progress} == {None}


async def test_errors_are_those_of_every_call(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    kinds: list[tuple[int, type[APIStatusError]]] = [
        (404, NotFoundError),
        (409, ConflictError),
        (500, ServerError),
    ]
    for status, kind in kinds:
        body = {"error": {"code": "artifact_expired", "message": "no longer kept"}}
        server.play(answer(body, status))
        with pytest.raises(kind, match="no longer kept") as caught:
            await client.agent_rollouts.download_artifact(R, A, folder)
        assert caught.value.code == "artifact_expired"
        assert len(server.requests) == (3 if status == 500 else 1)
    assert names(folder) == []


async def test_a_server_that_stops_in_the_middle(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    server.play(choose=serving(lambda data: stall_at(100_000, data)))
    # Only the rest is late: a busy machine may need long to connect.
    quick = client.with_options(timeout=httpx.Timeout(60, read=0.3), max_retries=9)
    path = await quick.agent_rollouts.download_artifact(R, A, folder)
    assert path.read_bytes() == CONTENT
    # A busy server may have sent nothing of the first answer.
    assert server.requests[-1].headers["range"].startswith("bytes=")


async def test_the_deadline_is_one_for_all_attempts(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    pieces = [bytes(100)] * 1000
    server.play(chunked(pieces, pause=0.02))
    with pytest.raises(APITimeoutError, match="deadline of 0.3 s") as caught:
        await client.with_options(deadline=0.3).agent_rollouts.download_artifacts_zip(R, folder)
    assert caught.value.cause == "DeadlineExceeded"
    assert names(folder) == []


async def test_what_on_progress_raises_ends_it(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path
) -> None:
    server.play(choose=serving())

    def stop(received: int, _: int | None) -> None:
        if received:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        await client.agent_rollouts.download_artifact(R, A, folder, on_progress=stop)
    assert names(folder) == []
    assert await client.agent_rollouts.artifact(R, A) == CONTENT


class Clock:
    """Clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(client._transport, "clock", clock)
    return clock


async def test_what_is_whole_at_the_deadline_came_in_time(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path, clock: Clock
) -> None:
    server.play(choose=serving())

    def late(received: int, total: int | None) -> None:
        if received == total:
            clock.now += 60.0

    patient = client.with_options(deadline=50.0)
    path = await patient.agent_rollouts.download_artifact(R, A, folder, on_progress=late)
    assert path.read_bytes() == CONTENT


async def test_another_attempt_is_made_in_the_last_second(
    server: FaultServer, client: AsyncContainerPoolsClient, folder: Path, clock: Clock
) -> None:
    def late(data: bytes) -> Fault:
        clock.now += 59.5
        return after(100_000)(data)

    server.play(choose=serving(late))
    patient = client.with_options(deadline=60.0)
    path = await patient.agent_rollouts.download_artifact(R, A, folder)
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 2
