"""Exit codes: 0 conforms, 1 departs, 2 could not be judged, with the reason in one line."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from synth_pools.cli import run
from synth_pools.contract import run_contract
from synth_pools.contract.results import Column, Outcome
from synth_pools.local import LocalBackend
from tests.contract.faults import FAULTS
from tests.contract.faults.fault import KEY
from tests.contract.faults.proxy import FaultProxy
from tests.contract.selftest.watched import watched

_QUICK = ("pools", "service")


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend(api_key=KEY) as running:
        yield running


def test_a_backend_that_conforms_is_0(backend: LocalBackend) -> None:
    report = run_contract(backend.url, api_key=KEY, only=_QUICK, seed=1)
    assert (report.exit_code, report.departures, report.obstacles) == (0, (), ())
    assert report.cell("create_pool", Column.BEHAVIOUR) is Outcome.HELD
    assert report.summary.startswith("conforms: ")


def test_a_departure_is_1_and_carries_its_request(backend: LocalBackend) -> None:
    fault = next(fault for fault in FAULTS if fault.name == "patch_replaces_pools")
    with FaultProxy(backend.url, fault, KEY) as proxy:
        report = run_contract(proxy.url, api_key=KEY, only=("pools.patch",), seed=1)
    assert report.exit_code == 1
    # Reads that disagree depart as well, in any order.
    first = next(item for item in report.departures if item.check == "pools.patch")
    assert first.operation == "update_pool"
    assert first.clause.demand
    assert first.exchange is not None
    assert first.exchange.method == "PATCH"
    assert KEY not in repr(report)


def test_the_key_is_refused(backend: LocalBackend, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["contract-test", backend.url, "--api-key", "wrong"]) == 2
    _one_line(capsys, "the key is refused (401)")


@pytest.mark.timeout(150)
def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["contract-test", "http://127.0.0.1:9", "--api-key", "x"]) == 2
    _one_line(capsys, "nobody answers at http://127.0.0.1:9")


def test_a_web_page(capsys: pytest.CaptureFixture[str]) -> None:
    with _serving(b"<html><body>Welcome</body></html>", "text/html") as url:
        assert run(["contract-test", url, "--api-key", "x"]) == 2
    _one_line(capsys, "is no Container Pools API")


def test_another_api(capsys: pytest.CaptureFixture[str]) -> None:
    with _serving(b'{"hello": "world"}', "application/json") as url:
        assert run(["contract-test", url, "--api-key", "x"]) == 2
    _one_line(capsys, "is no Container Pools API")


# The kit gives up after three seconds; the rest is for a busy machine.
@pytest.mark.system
@pytest.mark.timeout(150)
def test_a_server_that_never_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with _serving(b"", "text/html", silent=True) as url:
        assert run(["contract-test", url, "--api-key", "x"]) == 2
    _one_line(capsys, "does not answer")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense", "--api-key", "x"], "is no URL"),
        (["http://key@127.0.0.1:1", "--api-key", "x"], "give the key with --api-key"),
        (["http://127.0.0.1:1/?key=x", "--api-key", "x"], "the base URL alone"),
        (["http://127.0.0.1:1", "--api-key", "Bearer x"], "give the key alone"),
        (["http://127.0.0.1:1", "--api-key", "with space"], "cannot carry"),
        (["x", "--api-key", "http://127.0.0.1:1"], "each other's place"),
        (["http://127.0.0.1:1"], "--api-key or set SYNTH_API_KEY"),
        (["http://127.0.0.1:1", "--api-key", "x", "--pool-request", "@/no/file"], "no JSON"),
        (["http://127.0.0.1:1", "--api-key", "x", "--pool-request", "[]"], "no JSON object"),
        (["http://127.0.0.1:1", "--api-key", "x", "--report", "/no/such/x.html"], "no folder"),
        (["http://127.0.0.1:1", "--api-key", "x", "--spec", "/no/file"], "spec cannot be read"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SYNTH_API_KEY", raising=False)
    assert run(["contract-test", *arguments]) == 2
    _one_line(capsys, message)


@pytest.mark.parametrize("text", [": [", "openapi: 3.1.0\n", "[]", "\x00"])
def test_a_broken_spec(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(text)
    arguments = ["contract-test", "http://127.0.0.1:1", "--api-key", "x", "--spec", str(file)]
    assert run(arguments) == 2
    _one_line(capsys, "spec")


def test_no_pool_can_be_made() -> None:
    refusal = {"detail": "your plan has no pools", "error": {"code": "plan", "message": "no"}}
    with watched(lambda operation: (403, refusal) if operation == "create_pool" else None) as proxy:
        report = run_contract(proxy.url, api_key=KEY, seed=1)
    assert report.exit_code == 2
    assert "your plan has no pools" in report.obstacles[0]
    assert "--pool-request" in report.obstacles[0]


def test_rollouts_never_end(backend: LocalBackend) -> None:
    report = run_contract(
        backend.url, api_key=KEY, seed=1, patience=4.0, rollout_request={"env": {"delay": 600}}
    )
    assert report.exit_code == 2
    assert "the rollout was running and not completed or failed or cancelled" in report.obstacles[0]
    assert "--rollout-request" in report.obstacles[0]


def test_what_departs_outweighs_what_could_not_be_judged(backend: LocalBackend) -> None:
    fault = next(fault for fault in FAULTS if fault.name == "get_pool_without_key")
    with FaultProxy(backend.url, fault, KEY) as proxy:
        report = run_contract(
            proxy.url, api_key=KEY, seed=1, patience=1.0, only=("auth", "service")
        )
    assert report.exit_code == 1
    assert {d.operation for d in report.departures} == {"get_pool"}


def test_nothing_checked_is_never_0(backend: LocalBackend) -> None:
    report = run_contract(backend.url, api_key=KEY, only=("cancel",), read_only=True)
    assert report.exit_code == 2
    assert report.summary == "could not be judged: nothing could be checked: read-only"


def test_a_run_without_time_for_its_scenarios_is_2(backend: LocalBackend) -> None:
    report = run_contract(backend.url, api_key=KEY, only=("pools",), max_time=0.001)
    assert report.exit_code == 2
    assert report.obstacles == ("the time ran out before every scenario was played: give it more",)


@pytest.mark.parametrize("option", ["--only", "--skip"])
def test_a_check_that_does_not_exist(
    backend: LocalBackend, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["contract-test", backend.url, "--api-key", KEY, option, "poools"]) == 2
    _one_line(capsys, "no check is called 'poools'")


def _one_line(capsys: pytest.CaptureFixture[str], message: str) -> None:
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in captured.err + captured.out


class _serving:  # noqa: N801 - used like a function
    """Server of another kind."""

    def __init__(self, body: bytes, media_type: str, silent: bool = False) -> None:
        released = self._released = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if silent:
                    released.wait(30)
                    return
                self.send_response(200)
                self.send_header("content-type", media_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
