"""Calls that a relay passes on: what arrives is what the upstream sent."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.backend_server import eventually
from tests.support.ports import HOST, HeldPort
from tests.support.recording import RecordingServer, Reply
from tests.support.relays import Running, running_relay
from tests.support.scripted_models import ScriptedModels

# To read certificates for each call would take longer than all else here.
HTTP = httpx.Client(verify=False, trust_env=False, timeout=60)


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server


@pytest.fixture(scope="module")
def relay(upstream: RecordingServer) -> Iterator[Running]:
    with running_relay(f"{upstream.url}/v1", key="sk-upstream") as running:
        yield running


@pytest.fixture
def session(relay: Running, upstream: RecordingServer) -> Running:
    """A session of its own, whose upstream forgets what it refused."""
    return relay.session_of(f"{upstream.url}/v1", f"sk-{id(object())}")


def chat(text: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **fields}


def completion(text: str = "ho", **fields: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {"id": "c", "model": "m-1", "choices": [{**choice, **fields}], "usage": usage}


def events(*values: Any, end: bytes = b"\n\n") -> bytes:
    lines = [json.dumps(value, ensure_ascii=False).encode() for value in values]
    return b"".join(b"data: " + line + end for line in [*lines, b"[DONE]"])


def send_raw(running: Running, body: bytes) -> socket.socket:
    """Send a call over a connection of its own."""
    place = urlsplit(running.base_url)
    head = f"POST {place.path}/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
    connection = socket.create_connection((str(place.hostname), int(place.port or 0)), 60)
    connection.sendall(head.encode() + b"\r\n\r\n" + body)
    return connection


def test_an_answer_is_passed_on_to_the_byte(session: Running, upstream: RecordingServer) -> None:
    odd = b' { "choices" :[{"message":{"content":"\\u00e9 \xc3\xa9"},"x":1.50e-7}],\n "a":1.0}\n'
    upstream.reply_with(Reply(201, odd, {"Content-Type": "application/json", "X-Odd": "a, b"}))
    answer = HTTP.post(f"{session.base_url}/chat/completions?x=%2F&y", json=chat())
    assert (answer.status_code, answer.content) == (201, odd)
    assert answer.headers["x-odd"] == "a, b"
    assert upstream.last.target == "/v1/chat/completions?x=%2F&y"


def test_a_body_does_not_wait_until_its_head_is_acknowledged(
    session: Running, upstream: RecordingServer
) -> None:
    upstream.reply_with(Reply.json(completion()))
    body = json.dumps(chat()).encode()
    with send_raw(session, body) as client:
        assert client.recv(1) == b"H"
        assert _sends_at_once(client.getsockname())


def _sends_at_once(address: tuple[str, int]) -> bool:
    """Find the other end of a connection in this process; return whether it delays nothing."""
    for path in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(path.stat().st_mode):
                with socket.socket(fileno=os.dup(int(path.name))) as copy:
                    if copy.getpeername() == address:
                        return bool(copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    raise AssertionError(address)


def test_members_that_nobody_asked_for_are_cut_out_and_nothing_else(
    session: Running, upstream: RecordingServer
) -> None:
    body = (
        b'{"id": "c",  "prompt_token_ids":[1, 2],"choices":[ {"index":0, "token_ids" :[3],'
        b'"logprobs":{"content":[{"token":"token_id:3","logprob":-0.5}]},'
        b'"message":{"content":"token_ids","logprobs":1},"x":1.50 ,"response_token_ids":[4]}]'
        b' , "usage":{"prompt_tokens":2,"completion_tokens":1}}'
    )
    upstream.reply_with(Reply(body=body))
    answer = HTTP.post(f"{session.base_url}/chat/completions", json=chat())
    expected = (
        b'{"id": "c","choices":[ {"index":0,"logprobs":null,'
        b'"message":{"content":"token_ids","logprobs":1},"x":1.50 }]'
        b' , "usage":{"prompt_tokens":2,"completion_tokens":1}}'
    )
    assert answer.content == expected
    [call] = session.steps.calls
    assert call["metrics"]["prompt_token_ids"] == [1, 2]
    assert call["metrics"]["completion_token_ids"] == [3]
    assert call["metrics"]["logprobs"] == [-0.5]


@pytest.mark.parametrize("value", [b"1", b"true", b'"text"', b"{}", b"[]"])
@pytest.mark.parametrize("name", [b"choices", b"provider_specific_fields"])
def test_members_of_any_kind_stay(
    session: Running, upstream: RecordingServer, name: bytes, value: bytes
) -> None:
    upstream.reply_with(Reply(body=b'{"token_ids":{},"%s":%s}' % (name, value)))
    answer = HTTP.post(f"{session.base_url}/chat/completions", json=chat())
    assert answer.content == b'{"%s":%s}' % (name, value)


def test_members_that_were_asked_for_stay(session: Running, upstream: RecordingServer) -> None:
    body = json.dumps(completion(token_ids=[3], logprobs={"content": []})).encode()
    upstream.reply_with(Reply(body=body))
    body_asking = chat(return_token_ids=True, logprobs=True)
    answer = HTTP.post(f"{session.base_url}/chat/completions", json=body_asking)
    assert answer.content == body
    assert upstream.last.json == body_asking
    # In completions, 0 asks for those of the answer alone.
    body = json.dumps(completion(logprobs={"token_logprobs": [-0.5]})).encode()
    upstream.reply_with(Reply(body=body))
    body_asking = {"model": "m", "prompt": "a", "logprobs": 0}
    answer = HTTP.post(f"{session.base_url}/completions", json=body_asking)
    assert (answer.content, upstream.last.json["logprobs"]) == (body, 0)


def test_a_call_has_further_arguments_and_is_otherwise_as_it_was(
    session: Running, upstream: RecordingServer
) -> None:
    upstream.reply_with(Reply.json(completion()))
    body = b'{"model" : "m",  "messages":[], "temperature":1.0, "x":"\xc3\xa9\\u00e9" } \n'
    HTTP.post(f"{session.base_url}/chat/completions", content=body)
    assert upstream.last.body.startswith(body[:-4])
    added = {"return_token_ids": True, "logprobs": True}
    assert upstream.last.json == {**json.loads(body), **added}


@pytest.mark.parametrize("body", [b"{}", b"", b"[1]", b"\xff", b"{", b'{"messages": 3}'])
def test_a_call_that_is_none_is_passed_on(
    session: Running, upstream: RecordingServer, body: bytes
) -> None:
    upstream.reply_with(Reply.json({"error": {"message": "odd"}}, 400))
    answer = HTTP.post(f"{session.base_url}/chat/completions", content=body)
    assert answer.status_code == 400
    assert upstream.last.body == body or json.loads(upstream.last.body)["messages"] == 3


def test_another_path_is_passed_on_with_its_method(
    session: Running, upstream: RecordingServer
) -> None:
    upstream.reply_with(Reply(body=b"\x00\x01", headers={"Content-Type": "audio/x"}))
    answer = HTTP.request("PATCH", f"{session.base_url}/files/a%2Fb", content=b"\xff\x00")
    assert (answer.content, answer.headers["content-type"]) == (b"\x00\x01", "audio/x")
    assert (upstream.last.method, upstream.last.target) == ("PATCH", "/v1/files/a%2Fb")
    assert upstream.last.body == b"\xff\x00"
    assert session.steps.added == []


@pytest.mark.parametrize(
    "path", ["/chat/completions/", "//chat//completions", "/chat%2Fcomplet%69ons"]
)
def test_a_path_that_servers_take_for_that_of_calls_is_one(
    session: Running, upstream: RecordingServer, path: str
) -> None:
    upstream.reply_with(Reply.json(completion()))
    HTTP.post(f"{session.base_url}{path}", json=chat())
    assert upstream.last.target == f"/v1{path}"
    assert session.session.turns == 1


def test_models_are_listed() -> None:
    with ScriptedModels() as models, running_relay(models.base_url) as running:
        direct = HTTP.get(f"{models.base_url}/models")
        assert HTTP.get(f"{running.base_url}/models").content == direct.content


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_an_error_has_its_status_and_the_time_to_wait(
    session: Running, upstream: RecordingServer, status: int
) -> None:
    error = {"error": {"message": "no", "code": "x"}}
    upstream.reply_with(Reply.json(error, status, retry_after="7"))
    answer = HTTP.post(f"{session.base_url}/chat/completions", json=chat())
    assert (answer.status_code, answer.json()) == (status, error)
    assert answer.headers["retry-after"] == "7"
    [call] = session.steps.calls
    assert call["extra"]["error"]["status"] == status
    assert call["is_copied_context"]
    assert session.session.turns == 0


def test_a_stream_is_passed_on_piece_by_piece(session: Running, upstream: RecordingServer) -> None:
    goes_on = threading.Event()
    stop = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

    def stream() -> Iterator[bytes]:
        yield events({"choices": [{"index": 0, "delta": {"content": "a"}}]})[:-14]
        assert goes_on.wait(60)
        yield events(stop)

    upstream.reply_with(lambda _: Reply.live(stream()))
    url = f"{session.base_url}/chat/completions"
    with HTTP.stream("POST", url, json=chat(stream=True)) as answer:
        pieces = answer.iter_raw()
        # It waits for nothing that is still to come.
        assert b'"a"' in next(pieces)
        goes_on.set()
        assert b"".join(pieces) == events(stop)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_may_be_cut_anywhere(
    session: Running, upstream: RecordingServer, size: int, end: bytes
) -> None:
    def chunk(text: str, **fields: Any) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": {"content": text}, **fields}]}

    usage = {"prompt_tokens": 1, "completion_tokens": 3}
    stream = events(
        {"prompt_token_ids": [5], **chunk("é€", logprobs={"content": [{"logprob": -1.5}]})},
        chunk("😀", token_ids=[7]),
        {"choices": [], "usage": usage},
        end=end,
    )
    upstream.reply_with(
        lambda _: Reply.live(stream[at : at + size] for at in range(0, len(stream), size))
    )
    url = f"{session.base_url}/chat/completions"
    body_asking: dict[str, Any] = {
        "return_token_ids": True,
        "logprobs": True,
        "stream_options": {"include_usage": True},
    }
    assert HTTP.post(url, json=chat(stream=True, **body_asking)).content == stream
    expected = events({**chunk("é€", logprobs=None)}, chunk("😀"), end=end)
    assert HTTP.post(url, json=chat(stream=True)).content == expected
    for call, (message, _) in zip(session.steps.calls, session.steps.added[1:], strict=False):
        assert message["content"] == "é€😀"
        expected_metrics = {
            "completion_token_ids": [7],
            "prompt_token_ids": [5],
            "logprobs": [-1.5],
        }
        assert call["metrics"] == usage | expected_metrics


def test_usage_is_asked_for_and_its_chunk_cut(session: Running, upstream: RecordingServer) -> None:
    delta = {"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": None}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    upstream.reply_with(Reply.events(events(delta, {"choices": [], "usage": usage})))
    url = f"{session.base_url}/chat/completions"
    answer = HTTP.post(url, json=chat(stream=True, stream_options={"x": 1}))
    assert upstream.last.json["stream_options"] == {"x": 1, "include_usage": True}
    assert answer.content == events({"choices": delta["choices"]})
    assert session.steps.calls[0]["metrics"] == usage


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_call_in_another_encoding_has_further_arguments(
    session: Running, upstream: RecordingServer, encoding: str
) -> None:
    upstream.reply_with(Reply.json(completion()))
    body = chat("é", n=1)
    content = json.dumps(body, ensure_ascii=False).encode(encoding)
    HTTP.post(f"{session.base_url}/chat/completions", content=content)
    assert upstream.last.json == {**body, "return_token_ids": True, "logprobs": True}


def test_a_compressed_answer_is_read_and_passed_on(
    session: Running, upstream: RecordingServer
) -> None:
    for fields in ({}, {"token_ids": [3]}):
        body = json.dumps(completion("ü", **fields), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        upstream.reply_with(Reply(body=gzip.compress(body), headers=headers))
        answer = HTTP.post(f"{session.base_url}/chat/completions", json=chat())
        assert answer.json() == completion("ü")
        assert upstream.last.headers["accept-encoding"] == "identity"
    stream = gzip.compress(events({"choices": [{"delta": {"content": "ü"}}]}))
    headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}
    upstream.reply_with(Reply(headers=headers, stream=[stream[:9], stream[9:]]))
    answer = HTTP.post(f"{session.base_url}/chat/completions", json=chat(stream=True))
    assert answer.content == events({"choices": [{"delta": {"content": "ü"}}]})
    contents = [message["content"] for message, _ in session.steps.added]
    assert contents == ["hi", "ü", "ü", "ü"]


def test_an_unknown_encoding_is_passed_on(session: Running, upstream: RecordingServer) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "x-odd"}
    upstream.reply_with(Reply(body=b"\x01\x02", headers=headers))
    answer = HTTP.post(f"{session.base_url}/chat/completions", json=chat())
    assert (answer.content, answer.headers["content-encoding"]) == (b"\x01\x02", "x-odd")
    assert "x-odd" in session.steps.calls[0]["extra"]["error"]["message"]


def test_an_answer_that_breaks_off_breaks_off_here(
    session: Running, upstream: RecordingServer
) -> None:
    url = f"{session.base_url}/chat/completions"
    upstream.reply_with(Reply(body=b'{"choices"', cut=True))
    answer = HTTP.post(url, json=chat())
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
    start = events({"choices": [{"delta": {"content": "a"}}]})[:-14]
    upstream.reply_with(Reply.events(start, cut=True))
    with pytest.raises(httpx.RemoteProtocolError):
        HTTP.post(url, json=chat(stream=True))
    upstream.reply_with(lambda _: None)
    assert HTTP.post(url, json=chat()).status_code == 502
    assert [message.get("content") for message, _ in session.steps.added] == ["hi", None, "a", None]
    assert all(call["extra"]["error"] for call in session.steps.calls)


def test_an_upstream_that_is_not_there(relay: Running) -> None:
    with HeldPort() as port:
        running = relay.session_of(f"http://{HOST}:{port.number}/v1")
        answer = HTTP.post(f"{running.base_url}/chat/completions", json=chat())
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")


def test_a_client_that_goes_away_ends_the_call(session: Running, upstream: RecordingServer) -> None:
    arrived, is_over = threading.Event(), threading.Event()

    def stream() -> Iterator[bytes]:
        try:
            yield events({"choices": [{"delta": {"content": "a"}}]})[:-14]
            arrived.set()
            while True:
                yield b": nothing\n\n"
                is_over.wait(0.01)
        finally:
            is_over.set()

    upstream.reply_with(lambda _: Reply.live(stream()))
    url = f"{session.base_url}/chat/completions"
    with HTTP.stream("POST", url, json=chat(stream=True)) as answer:
        next(answer.iter_raw())
        assert arrived.wait(60)
    assert is_over.wait(60)
    eventually(lambda: len(session.steps.calls) == 1)
    assert session.steps.calls[0]["extra"]["error"]["message"] == "the client went away"
    assert session.steps.texts[-1] == ("assistant", "a")
    # It has read a part of the answer: a limit of turns would end nothing else.
    assert session.session.turns == 1


def test_a_client_that_goes_away_before_the_answer_ends_the_call(session: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        running = session.session_of(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        silent.settimeout(60)
        with send_raw(running, json.dumps(chat()).encode()):
            connection, _ = silent.accept()
            connection.settimeout(60)
            assert b"/v1/chat/completions" in connection.recv(65536)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65536):
                pass
        connection.close()
    eventually(lambda: len(running.steps.calls) == 1)
    assert running.session.turns == 0
    assert running.steps.calls[0]["extra"]["error"]["message"] == "the client went away"


def test_a_session_that_is_closed_ends_its_calls(
    session: Running, upstream: RecordingServer
) -> None:
    arrived, goes_on = threading.Event(), threading.Event()

    def answer(_: Any) -> Reply:
        arrived.set()
        goes_on.wait(60)
        return Reply.json(completion())

    upstream.reply_with(answer)
    with ThreadPoolExecutor() as pool:
        future = pool.submit(
            HTTP.post, f"{session.base_url}/chat/completions", json=chat(), timeout=60
        )
        assert arrived.wait(60)
        session.do(lambda: session.relay.end(session.session))
        result = future.result(60)
        goes_on.set()
    assert (result.status_code, result.json()["error"]["code"]) == (400, "episode_ended")
    assert HTTP.get(f"{session.base_url}/models").status_code == 401


def test_huge_bodies(session: Running, upstream: RecordingServer, monkeypatch: Any) -> None:
    monkeypatch.setattr("synth_pools.relay.app._LARGEST_BODY", 100_000)
    url = f"{session.base_url}/chat/completions"
    answer = HTTP.post(url, json=chat("x" * 100_000))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    body = json.dumps(completion("y" * 200_000)).encode()
    upstream.reply_with(Reply(body=body))
    assert HTTP.post(url, json=chat()).content == body
    assert "too large" in session.steps.calls[0]["extra"]["error"]["message"]


def test_many_rollouts_at_a_time() -> None:
    with ScriptedModels() as models, running_relay(models.base_url) as running:
        sessions = [running.session_of(models.base_url) for _ in range(50)]

        def play(number: int) -> str:
            url = f"{sessions[number].base_url}/chat/completions"
            body = {**chat(), "model": f"say:{number}", "stream": number % 2 == 0}
            return HTTP.post(url, json=body, timeout=60).text

        with ThreadPoolExecutor(50) as pool:
            texts = list(pool.map(play, range(50)))
    assert all(f'"{number}"' in text for number, text in enumerate(texts))
    expected = [[("user", "hi"), ("assistant", str(number))] for number in range(50)]
    assert [session.steps.texts for session in sessions] == expected
