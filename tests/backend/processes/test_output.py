"""Output of processes: its lines, its pages, and its memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.processes import output as output_module
from synth_pools.backend.processes.output import OutputLogs, ProcessOutput
from tests.support.backend_server import Server, eventually
from tests.support.process_pools import process, until

P = "a pool"


def page(logs: OutputLogs, cursor: str | None = None, **chosen: Any) -> dict[str, Any]:
    defaults = {"limit": 1000, "most_bytes": 10**9, "number": None}
    actual: dict[str, Any] = logs.page(P, "active", cursor, **{**defaults, **chosen})
    return actual


def texts(actual: dict[str, Any]) -> list[str]:
    return [line["text"] for line in actual["lines"]]


def pages(logs: OutputLogs, **chosen: Any) -> list[str]:
    all_texts, cursor, has_more = list[str](), None, True
    while has_more:
        document = page(logs, cursor, **chosen)
        all_texts += texts(document)
        cursor, has_more = document["next_cursor"], document["has_more"]
    return all_texts


def test_lines_come_in_the_order_in_which_they_were_read() -> None:
    logs = OutputLogs()
    first, second = logs.open(P, 0), logs.open(P, 1)
    first.feed(b"a\nb\nc")
    second.feed(b"1\n")
    first.feed(b"d\ne\n")
    second.feed(b"2\n")
    actual = page(logs)
    assert texts(actual) == ["a", "b", "1", "cd", "e", "2"]
    assert [line["process"] for line in actual["lines"]] == [0, 0, 1, 0, 0, 1]
    assert (actual["has_more"], actual["truncated"]) == (False, False)
    stamps = [line["timestamp"] for line in actual["lines"]]
    assert stamps == sorted(stamps)
    for limit in (1, 2, 5):
        assert pages(logs, limit=limit) == texts(actual)
    assert pages(logs, most_bytes=1) == texts(actual)
    assert pages(logs, number=1) == ["1", "2"]
    assert pages(logs, number=7) == []
    # Later lines come after the last page.
    first.feed(b"f\n")
    assert texts(page(logs, actual["next_cursor"])) == ["f"]
    assert texts(page(logs, actual["next_cursor"], number=1)) == []


def test_a_line_is_there_when_it_has_ended() -> None:
    logs = OutputLogs()
    output = logs.open(P, 0)
    output.feed(b"half")
    assert texts(page(logs)) == []
    assert output.last_lines() == ["half"]
    output.flush()
    output.flush()
    assert texts(page(logs)) == ["half"]
    assert output.last_lines() == ["half"]


def test_a_cursor_of_another_run_is_the_oldest_line() -> None:
    logs = OutputLogs()
    logs.open(P, 0).feed(b"a\nb\n")
    cursor = page(logs, limit=1)["next_cursor"]
    assert texts(page(logs, cursor)) == ["b"]
    other_logs = OutputLogs()
    other_logs.open(P, 0).feed(b"c\nd\n")
    for text in (cursor, "", "x", "log_0_0", cursor[:-1] + "9", cursor[:-1] + "\u0663"):
        assert texts(page(other_logs, text)) == ["c", "d"]
    assert page(OutputLogs(), cursor)["lines"] == []


def test_processes_of_one_place_are_counted() -> None:
    logs = OutputLogs()
    first = logs.open(P, 0)
    first.start(11, "http://127.0.0.1:1")
    first.feed(b"one\n")
    first.end(-9)
    second = logs.open(P, 0)
    second.feed(b"two\n")
    actual = page(logs)
    assert [line["attempt"] for line in actual["lines"]] == [1, 2]
    [process] = actual["processes"]
    assert (process["attempt"], process["running"], process["pid"]) == (2, True, None)
    assert first.document()["exit_code"] == -9
    assert (first.last_lines(), second.last_lines()) == (["one"], ["two"])


def feed_lines(output: ProcessOutput, number: int, size: int = 100) -> None:
    for count in range(number):
        output.feed(b"%06d" % count + b"x" * (size - 7) + b"\n")


def test_each_place_keeps_its_last_mebibyte() -> None:
    logs = OutputLogs()
    loud, quiet = logs.open(P, 0), logs.open(P, 1)
    quiet.feed(b"first\n")
    feed_lines(loud, 20_000)
    quiet.feed(b"last\n")
    actual = page(logs)
    assert texts(actual)[0] == "first"
    assert actual["truncated"] is True
    stored = pages(logs, number=0)
    assert stored[-1].startswith("019999")
    assert 2_000 < len(stored) < 12_000
    assert logs.bytes < 1.1 * output_module.PLACE_BYTES
    assert page(logs, number=1)["truncated"] is False
    # A reader that has read them misses nothing.
    cursor = f"{actual['next_cursor'].rpartition('_')[0]}_20001"
    rest = page(logs, cursor)
    assert (texts(rest), rest["truncated"]) == (["last"], False)


def test_all_together_keep_no_more_than_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_module, "TOTAL_BYTES", 3 * output_module.PLACE_BYTES)
    logs = OutputLogs()
    small = logs.open(P, 99)
    small.feed(b"mine\n")
    for number in range(10):
        feed_lines(logs.open(f"pool {number}", 0), 12_000)
    assert logs.bytes <= output_module.TOTAL_BYTES
    assert texts(page(logs)) == ["mine"]


def test_pools_that_are_over_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_module, "_MOST_POOLS", 5)
    logs = OutputLogs()
    logs.open(P, 0).feed(b"it runs\n")
    for number in range(50):
        output = logs.open(f"pool {number}", 0)
        output.feed(b"x\n")
        output.end(0)
    assert texts(page(logs)) == ["it runs"]
    assert logs.page("pool 49", "failed", None, 9, 9, None)["lines"] != []
    assert logs.page("pool 3", "failed", None, 9, 9, None)["processes"] == []
    assert logs.bytes < 10 * 300


def test_only_the_last_lines_are_in_an_error() -> None:
    output = OutputLogs().open(P, 0)
    for number in range(200_000):
        output.feed(b"line %d\n" % number)
    assert output.last_lines() == [f"line {number}" for number in range(199_960, 200_000)]
    output.feed(b"\n" * 60 + b"y" * 2000)
    assert output.last_lines()[-1] == "y" * 500


def test_lines_are_made_readable_and_keep_no_secret() -> None:
    logs = OutputLogs()
    output = logs.open(P, 0, "topsecret")
    output.feed(b"\x1b[31mred\x1b[0m\r\n\n\xff key=topsecret\tend\n10%\r20%\r\n")
    assert texts(page(logs)) == ["[31mred[0m", "", "\ufffd key=***\tend", "20%"]
    output.feed(b"z" * 20_000 + b"\n")
    assert texts(page(logs))[-1] == "z" * 16_384


def test_a_secret_is_masked_in_every_spelling_of_json() -> None:
    logs = OutputLogs()
    output = logs.open(P, 0, "top/secret")
    output.feed(b'{"a": "top\\u002fsecret", "b": "{\\"top\\\\/secret\\": 1}"}\n')
    assert texts(page(logs)) == ['{"a": "***", "b": "{\\"***\\": 1}"}']


def test_a_secret_is_not_told_by_where_a_long_line_is_broken() -> None:
    for before in range(0, 400, 3):
        check_broken_line(before)


def check_broken_line(before: int) -> None:
    logs = OutputLogs()
    output = logs.open(P, 0, "topsecret")
    for text in (b"x" * (65_536 - before), b"topsec", b"ret", b"y" * 70_000, b"\n"):
        output.feed(text)
    kept_text = "".join(line.data.decode() for line in logs._pools[P].places[0].chunks)
    masked = "".join(
        output.shown(line)
        for chunk in logs._pools[P].places[0].chunks
        for line in chunk.data.split(b"\n")
    )
    assert kept_text.count("x") == 65_536 - before
    assert "secret" not in masked
    assert "topsec" not in masked


def test_a_line_without_end_is_broken_and_bounded() -> None:
    logs = OutputLogs()
    output = logs.open(P, 0, "topsecret")
    for _ in range(500):
        output.feed(b"topsecret" * 1_000)
    assert logs.bytes < 1.2 * output_module.PLACE_BYTES
    assert len(output._pending) < 100_000
    assert len(page(logs)["lines"]) > 3


def lines_of(server: Server, pool_id: str, **query: Any) -> list[str]:
    return texts(server.get(f"/v1/pools/{pool_id}/logs", params=query))


def test_what_processes_write_can_be_read(allowing: Server) -> None:
    pool_id = allowing.pool(capacity=2, config={"process": process()})
    until(allowing, pool_id, "active")

    def listening() -> Any:
        actual = allowing.get(f"/v1/pools/{pool_id}/logs")
        return actual if len(actual["lines"]) == 2 else None

    actual = eventually(listening)
    assert (actual["pool_id"], actual["status"], actual["has_more"]) == (pool_id, "active", False)
    assert [process["process"] for process in actual["processes"]] == [0, 1]
    for listed in actual["processes"]:
        assert (listed["attempt"], listed["running"], listed["exit_code"]) == (1, True, None)
        port = listed["url"].rpartition(":")[2]
        assert lines_of(allowing, pool_id, process=listed["process"]) == [f"listening at {port}"]
    allowing.call("DELETE", f"/v1/pools/{pool_id}")

    def over() -> Any:
        actual = allowing.get(f"/v1/pools/{pool_id}/logs")
        return actual if not any(process["running"] for process in actual["processes"]) else None

    actual = eventually(over)
    assert actual["status"] == "archived"
    assert {process["exit_code"] for process in actual["processes"]} == {-15}
    assert all(process["ended_at"] >= process["started_at"] for process in actual["processes"])
    assert len(actual["lines"]) >= 2
    assert lines_of(allowing, pool_id, cursor=actual["next_cursor"]) == []


def test_one_that_ends_is_started_again_in_its_place(allowing: Server, tmp_path: Path) -> None:
    # After the status 78 there is no third start.
    ends = 'echo "I am $$"; [ -e "$0" ] && exit 78; touch "$0"; exit 3'
    argv = ["sh", "-c", ends, str(tmp_path / "before")]
    config: dict[str, Any] = {"process": {"argv": argv, "start_timeout_seconds": 60}}
    pool_id = allowing.pool(config=config)
    until(allowing, pool_id, "failed")
    actual = allowing.get(f"/v1/pools/{pool_id}/logs")
    attempts = [line["attempt"] for line in actual["lines"]]
    assert attempts == [1, 2]
    [process] = actual["processes"]
    assert (process["process"], process["running"]) == (0, False)
    assert all(line["text"].startswith("I am ") for line in actual["lines"])


def test_one_that_cannot_be_started_has_no_lines(allowing: Server) -> None:
    argv = ["/no/such/program"]
    config = {"process": {"argv": argv, "start_timeout_seconds": 0.1}}
    pool_id = allowing.pool(config=config)
    until(allowing, pool_id, "failed")
    actual = allowing.get(f"/v1/pools/{pool_id}/logs")
    [container] = actual["processes"]
    assert (container["pid"], container["url"], container["running"], container["exit_code"]) == (
        None,
        None,
        False,
        None,
    )
    assert actual["lines"] == []


def test_logs_never_hold_the_key(allowing: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_API_KEY", "the-key-of-the-containers")
    argv = ["sh", "-c", 'echo "key $ENVIRONMENT_API_KEY"; exit 78']
    config: dict[str, Any] = {
        "container_key_env": "CONTAINER_API_KEY",
        "process": {"argv": argv, "start_timeout_seconds": 60},
    }
    pool_id = allowing.pool(config=config)
    until(allowing, pool_id, "failed")
    assert set(lines_of(allowing, pool_id)) == {"key ***"}


def test_a_pool_without_processes_has_no_lines(server: Server) -> None:
    pool_id = server.pool()
    actual = server.get(f"/v1/pools/{pool_id}/logs")
    assert (actual["processes"], actual["lines"], actual["truncated"]) == ([], [], False)
    again = server.get(f"/v1/pools/{pool_id}/logs?cursor={actual['next_cursor']}&process=3")
    assert again["lines"] == []
    server.refused("GET", "/v1/pools/nowhere/logs", 404, "pool_not_found")
    for query in ("limit=0", "limit=1001", "process=-1", "process=x"):
        server.refused("GET", f"/v1/pools/{pool_id}/logs?{query}", 422, "validation_failed")
