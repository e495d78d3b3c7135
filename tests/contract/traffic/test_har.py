"""HTTP archives: a written archive is read again with the same verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synth_pools.cli import run
from synth_pools.contract.exceptions import UnjudgeableError
from synth_pools.contract.results import Exchange, LongBody
from synth_pools.contract.traffic.har import archive_entry, read_archive
from synth_pools.contract.traffic.judge import TrafficJudge, judge_traffic
from synth_pools.contract.traffic.log import TrafficLog
from synth_pools.local import LocalBackend
from tests.contract.faults.fault import KEY
from tests.contract.rules.answers import answered, example

_POOL = "/v1/pools/docs-example-pool"


def test_a_run_can_be_judged_again_from_its_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    har, lines = tmp_path / "run.har", tmp_path / "run.ndjson"
    with LocalBackend(api_key=KEY) as backend:
        arguments = ["contract-test", backend.url, "--api-key", KEY, "--only", "pools.patch"]
        assert run([*arguments, "--har", str(har), "--ndjson", str(lines)]) == 0
    capsys.readouterr()
    entries = json.loads(har.read_text())["log"]["entries"]
    assert [json.loads(line) for line in lines.read_text().splitlines()] == entries
    assert KEY not in har.read_text() + lines.read_text()
    assert any(entry["request"]["method"] == "PATCH" for entry in entries)
    assert run(["contract-judge", str(har)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("conforms: ")
    assert f"{len(entries)} requests" in out


def test_an_exchange_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "t.har"
    written = Exchange(
        "POST", "http://x/v1/pools?a=%C3%BC", (("content-type", "application/json"),), b'{"a": 1}',
        201, (("content-type", "application/octet-stream"),), b"\xff\x00", 0.25, "cut short",
    )  # fmt: skip
    with TrafficLog(file) as log:
        log.write(written)
        log.write(Exchange("GET", "http://x/v1/pools", trouble="no answer"))
    log.write(written)
    assert list(read_archive(file)) == [
        written,
        Exchange("GET", "http://x/v1/pools", trouble="no answer"),
    ]


def test_a_long_answer_is_judged_whole_or_not_at_all(tmp_path: Path) -> None:
    """Judge a whole answer of the kit; a browser writes a part of it, or only its size."""
    file = tmp_path / "t.har"
    ids = [f"pool-{number}" for number in range(40)]
    items = [{**example("pool"), "id": pool_id, "pool_id": pool_id, "tasks": []} for pool_id in ids]
    page = {**example("pool_list"), "items": items}
    long = answered("GET", "/v1/pools", 200, page)
    with TrafficLog(file) as log:
        log.write(long)
        log.write(answered("GET", "/v1/pools", 200, {**page, "more": "x" * 1024 * 1024}))
    archive = json.loads(file.read_text())
    entries = archive["log"]["entries"]
    for part in ({"text": long.response_body[:8192].decode()}, {}):
        response = entries[0]["response"]
        content = {"size": response["content"]["size"], "mimeType": "application/json", **part}
        entries.append({**entries[0], "response": {**response, "content": content}})
    file.write_text(json.dumps(archive))
    report = judge_traffic(read_archive(file), file.name)
    assert (report.exit_code, report.requests) == (0, 1)


def test_what_departs_in_it_is_told(tmp_path: Path) -> None:
    file = tmp_path / "t.har"
    wrong = answered("GET", _POOL, 200, {**example("pool"), "id": "other"})
    with TrafficLog(file) as log:
        log.write(answered("GET", _POOL, 200, example("pool")))
        log.write(wrong)
        # The page of a dashboard is no answer of this API.
        log.write(answered("GET", "/index.html", 200, b"<html>", content_type="text/html"))
    report = judge_traffic(read_archive(file), file.name)
    assert (report.exit_code, report.requests, report.operations) == (1, 2, ("get_pool",))
    (entry,) = report.groups
    assert entry.first.check == "agree.id"
    assert report.lines[entry.first.clause.section] > 1


def test_an_archive_of_something_else_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    report = judge_traffic([Exchange("GET", "http://x/about", status=200)], "x")
    assert report.exit_code == 2
    assert run(["contract-judge", "/no/such.har"]) == 2
    assert "/no/such.har: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b'{"log": 5}', b'{"log": {"entries": {}}}', b'{"log": {"entries": [5]}}',
     b'{"log": {"entries": [{"request": {}, "response": {}}]}}'],
)  # fmt: skip
def test_a_broken_archive_is_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "t.har"
    file.write_bytes(content)
    with pytest.raises(UnjudgeableError, match="is no HAR file") as raised:
        list(read_archive(file))
    assert "\n" not in str(raised.value)


def test_keys_in_an_archive_are_masked(tmp_path: Path) -> None:
    entry: dict[str, Any] = {
        "request": {
            "method": "get",
            "url": "http://x/v1/pools",
            "headers": [
                {"name": ":authority", "value": "x"},
                {"name": "Authorization", "value": f"Bearer {KEY}"},
                {"name": "Cookie", "value": KEY},
            ],
        },
        "response": {"status": 200, "headers": [{"name": "Set-Cookie", "value": KEY}]},
    }
    file = tmp_path / "t.har"
    file.write_text(json.dumps({"log": {"entries": [entry]}}))
    (exchange,) = read_archive(file)
    assert KEY not in repr(exchange)
    assert exchange.method == "GET"
    assert len(exchange.request_headers) == 2


def test_an_entry_has_all_that_other_tools_ask_for() -> None:
    exchange = Exchange(
        "PUT",
        "http://x/v1/pools/p",
        (("content-type", "a/b"), ("x-n", "1")),
        "ü".encode(),
        200,
        (("Content-Type", "c/d"),),
        b"\xff",
        0.25,
    )
    content = {"size": 1, "mimeType": "c/d", "text": "/w==", "encoding": "base64"}
    assert archive_entry(exchange, "now") == {
        "startedDateTime": "now",
        "time": 250.0,
        "request": {
            "method": "PUT",
            "url": "http://x/v1/pools/p",
            "httpVersion": "HTTP/1.1",
            "headers": [{"name": "content-type", "value": "a/b"}, {"name": "x-n", "value": "1"}],
            "queryString": [],
            "cookies": [],
            "headersSize": -1,
            "bodySize": 2,
            "postData": {"mimeType": "a/b", "text": "ü"},
        },
        "response": {
            "status": 200,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "headers": [{"name": "Content-Type", "value": "c/d"}],
            "cookies": [],
            "content": content,
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": 1,
            "_error": None,
        },
        "cache": {},
        "timings": {"send": 0, "wait": 250.0, "receive": 0},
    }
    without = archive_entry(Exchange("GET", "http://x", trouble="silence"), "now")
    assert without["request"]["bodySize"] == -1
    assert "postData" not in without["request"]
    response = without["response"]
    assert (response["status"], response["_error"]) == (0, "silence")
    assert response["content"] == {"size": 0, "mimeType": "", "text": ""}
    long = archive_entry(
        Exchange("PUT", "http://x", request_body=LongBody(((b"x", 9),), 9, 0)), "now"
    )
    assert long["request"]["bodySize"] == 9
    assert "postData" not in long["request"]


def _read(entry: dict[str, Any], folder: Path) -> list[Exchange]:
    file = folder / "t.har"
    file.write_text(json.dumps({"log": {"entries": [entry]}}))
    return list(read_archive(file))


def test_what_an_entry_leaves_out_was_not_there(tmp_path: Path) -> None:
    request = {"method": "put", "url": "http://x/v1/pools"}
    least = {"request": request, "response": {"status": 0}}
    assert _read(least, tmp_path) == [
        Exchange("PUT", "http://x/v1/pools", trouble="no response was recorded")
    ]
    posted = {**request, "postData": {"text": "/w==", "encoding": "base64"}}
    response = {"status": 200, "content": {"text": "ab", "size": 2}}
    assert _read({"request": posted, "response": response, "time": 500}, tmp_path) == [
        Exchange(
            "PUT", "http://x/v1/pools", (), b"\xff", status=200, response_body=b"ab", elapsed=0.5
        )
    ]
    empty = {**request, "postData": {"text": ""}}
    (exchange,) = _read({"request": empty, "response": response}, tmp_path)
    assert exchange.request_body == b""
    # Some tools write an unknown size for the length.
    unknown = {"status": 200, "content": {"text": "ab", "size": -1}}
    assert len(_read({"request": request, "response": unknown}, tmp_path)) == 1
    part = {"status": 200, "content": {"text": "ab", "size": 3}}
    assert _read({"request": request, "response": part}, tmp_path) == []
    bad = {"status": 200, "content": {"text": "a", "encoding": "base64"}}
    with pytest.raises(
        UnjudgeableError, match=r"log\.entries\[0\]: ValueError: a body is no base64"
    ):
        _read({"request": request, "response": bad}, tmp_path)


def test_what_the_document_lacks_is_listed_and_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.har"
    with TrafficLog(file) as log:
        for number in range(25):
            log.write(answered("GET", f"/v1/labels/{number % 24}", 200, {}))
        log.write(Exchange("GET", "http://x/v1/pools", trouble="no answer"))
    assert run(["contract-judge", str(file)]) == 2
    out = capsys.readouterr().out
    assert "not in the document: GET /v1/labels/0, 2 times" in out
    assert "not in the document: GET /v1/labels/19, 1 times" in out
    assert "not in the document: 4 more, 4 times" in out
    assert "could not be judged: no answered request of an operation of the document" in out


def test_a_report_of_traffic_has_what_was_among_it() -> None:
    judge = TrafficJudge("the traffic")
    nothing = judge.report()
    assert len(nothing.obstacles) == 1
    assert (nothing.requests, nothing.operations, nothing.exit_code) == (0, (), 2)
    judge.judge(answered("GET", _POOL, 200, example("pool")))
    judge.judge(answered("TRACE", _POOL, 405, {"error": {"code": "of_ours", "message": "no"}}))
    judge.judge(answered("GET", "/elsewhere", 200, {}))
    report = judge.report()
    assert (report.url, report.profile, report.seed, report.run_id) == (
        "the traffic",
        "traffic",
        0,
        "",
    )
    assert 0 <= report.duration < 180
    assert report.operations == ("get_pool",)
    assert report.routes == {"get_pool": "GET /v1/pools/{pool_id}"}
    assert "404" in report.documented["get_pool"]
    assert (report.requests, report.reached["get_pool", 200]) == (2, 1)
    assert [group.first.check for group in report.groups] == ["schema.allow"]
    assert report.groups[0].first.operation == ""
    assert report.obstacles == ()
    (sentences,) = report.clauses.values()
    assert "a method that a path does not have (405 with `Allow`)" in sentences[0].text
    assert report.lines["Errors"] > 1
