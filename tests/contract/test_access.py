"""Access to a backend: headers of a gateway, TLS, a proxy, a second organisation, restarts."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from synth_pools.cli import run
from synth_pools.contract import run_contract
from synth_pools.contract.options import Access
from synth_pools.contract.results import Layer, Outcome
from synth_pools.local import LocalBackend
from tests.contract.faults import FAULTS
from tests.contract.faults.backends import faulty
from tests.contract.faults.fault import DOCUMENT, KEY, OTHER_KEY, Fault, Passing
from tests.contract.faults.proxy import FaultProxy
from tests.contract.faults.wire import Request, Response, header
from tests.support.leaks import KEY as TLS_KEY
from tests.support.ports import HeldPort
from tests.support.proxy import proxy as forward_proxy
from tests.support.tls_backend import tls_backend

_EVERYTHING = tuple(DOCUMENT.operations)
_PASS = "gateway-pass-0123456789"


async def _gateway(request: Request, passing: Passing) -> Response | None:
    if header(request.headers, "x-gateway") != _PASS:
        return Response(403, [("content-type", "text/html")], b"<html>Who are you?</html>")
    return None


def test_headers_reach_a_gateway_and_are_shown_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = Fault("gateway", "none", (), (*_EVERYTHING, ""), before=_gateway)
    files = [tmp_path / "r.json", tmp_path / "r.html", tmp_path / "t.har"]
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        arguments = ["contract-test", proxy.url, "--token-command", f"echo {KEY}"]
        arguments += ["--profile", "quick", "--operations", "get_capabilities,get_queue_status"]
        arguments += ["--only", "service", "--only", "schema"]
        for option, file in zip(("--json", "--report", "--har"), files, strict=True):
            arguments += [option, str(file)]
        assert run(arguments) == 2
        capsys.readouterr()
        code = run([*arguments, "--force", "--header", f"X-Gateway: {_PASS}"])
        out = capsys.readouterr().out
        assert code == 0, out
        report = run_contract(
            proxy.url, api_key=KEY, access=Access({"X-Gateway": _PASS}), only=("client.sync",)
        )
        assert (report.departures, report.exit_code) == ((), 0)
    for text in (out, *(file.read_text() for file in files)):
        assert _PASS not in text
        assert KEY not in text


@pytest.mark.parametrize("wrong", ["no colon", ": x", "a: b\nc"])
def test_a_header_that_is_none_is_one_line(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["contract-test", "http://127.0.0.1:9", "--header", wrong]) == 2
    assert "no header like" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["exit 3", "true"])
def test_a_token_command_that_fails_is_one_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["contract-test", "http://127.0.0.1:9", "--token-command", command]) == 2
    assert "the token command ended with" in capsys.readouterr().err


def test_a_certificate_that_cannot_be_read_is_one_line() -> None:
    report = run_contract(
        "https://127.0.0.1:9", api_key=KEY, access=Access(ca=Path("/no/such.pem"))
    )
    assert report.exit_code == 2
    assert report.obstacles[0].startswith("no way to https://127.0.0.1:9: ")


_FAULTLESS = Fault("none", "none", (), (), backend="second")


@pytest.mark.system
@pytest.mark.parametrize(
    "fault",
    [
        None,
        *(
            fault
            for fault in FAULTS
            if fault.name in ("logs_of_others_shown", "rollouts_of_others_cancelled_and_denied")
        ),
    ],
    ids=lambda fault: fault.name if fault else "none",
)
def test_another_organisation_finds_nothing(fault: Fault | None) -> None:
    with faulty(fault or _FAULTLESS) as (url, other_key):
        report = run_contract(
            url, api_key=KEY, seed=1, only=("organisations",), other_key=other_key
        )
    departed = {departure.operation for departure in report.departures}
    assert bool(departed) is (fault is not None)
    assert OTHER_KEY not in repr(report)
    if fault is not None:
        assert departed & set(fault.operations)


def test_without_another_key_nothing_is_said_of_organisations() -> None:
    with LocalBackend(api_key=KEY) as backend:
        report = run_contract(backend.url, api_key=KEY, only=("organisations", "service"))
    assert report.exit_code == 0
    assert not any(outcome.check.startswith("organisations") for outcome in report.outcomes)


_RESTART = """
kill -{signal} $(cat {pid}); while kill -0 $(cat {pid}) 2>/dev/null; do sleep 0.05; done
{clear}
{serve} & echo $! > {pid}
"""


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.parametrize("keeps", [True, False])
def test_what_was_admitted_is_there_after_a_restart(
    keeps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The script runs in the environment of the kit.
    monkeypatch.setenv("SYNTH_POOLS_API_KEY", KEY)
    data, pid = tmp_path / "data", tmp_path / "pid"
    port = str(HeldPort.kept().number)
    serve = shlex.join(
        [sys.executable, "-m", "synth_pools", "serve", "--port", port, "--data-dir", str(data)]
        + ["--allow-processes"]
    )
    clear = "" if keeps else f"rm -rf {shlex.quote(str(data))}"
    script = _RESTART.format(signal=int(signal.SIGKILL), pid=pid, clear=clear, serve=serve)
    process = subprocess.Popen(["bash", "-c", f"exec {serve}"])
    pid.write_text(str(process.pid))
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url)
        # Reaped at once, so that the script sees its end.
        threading.Thread(target=process.wait, daemon=True).start()
        report = run_contract(url, api_key=KEY, seed=1, only=("restarts",), restart=script)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)
    departed = [f"{group.first.check}: {group.first.got}" for group in report.groups]
    assert report.obstacles == ()
    assert report.exit_code == (0 if keeps else 1), departed
    judged = {
        (outcome.check, outcome.operation)
        for outcome in report.outcomes
        if outcome.outcome is Outcome.HELD
    }
    for check in ("restarts.kept", "restarts.resumed"):
        assert not keeps or (check, "stream_rollout_events") in judged
    assert not keeps or ("restarts.processes", "get_pool") in judged


def _wait_for(url: str) -> None:
    for _ in range(600):
        try:
            httpx.get(f"{url}/health")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the backend did not start")


_OWN = """
from synth_pools.contract.harness.registry import scenario

@scenario("own.queue", "get_queue_status", "nobody waits", "get_queue_status")
def own_queue(ctx):
    status = ctx.require(200, "get_queue_status")
    ctx.expect.equal("get_queue_status", "queued", WANTED, status.at("queued"), status)
"""


@pytest.mark.system
def test_scenarios_of_ones_own_are_played_like_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, broken = tmp_path / "own.py", tmp_path / "broken.py"
    file.write_text(_OWN.replace("WANTED", "0"))
    broken.write_text("import nothing_of_this_name")
    # A separate process, since scenarios stay registered.
    with LocalBackend(api_key=KEY) as backend:
        command = [sys.executable, "-m", "synth_pools", "contract-test", backend.url]
        done = subprocess.run(
            [*command, "--api-key", KEY, "--scenarios", str(file), "--only", "own"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        arguments = ["contract-test", backend.url, "--api-key", KEY, "--scenarios", str(broken)]
        assert run(arguments) == 2
    assert "cannot be loaded: ModuleNotFoundError" in capsys.readouterr().err


@pytest.mark.system
def test_certificates_and_a_proxy_are_the_way_of_every_part(tmp_path: Path) -> None:
    certificate = tmp_path / "client.pem"
    with tls_backend(tmp_path, asks_for_certificates=True) as served, forward_proxy() as proxy:
        issued = served.authority.issue_cert("client@example.org")
        issued.private_key_and_cert_chain_pem.write_to_path(certificate)
        trusted = tmp_path / "authority.pem"
        way = Access({}, certificate, None, trusted, f"http://127.0.0.1:{proxy.server_address[1]}")
        report = run_contract(
            served.url,
            api_key=TLS_KEY,
            seed=1,
            profile="quick",
            access=way,
            operations=("get_capabilities", "get_queue_status"),
            only=("service", "schema"),
        )
        async_report = run_contract(served.url, api_key=TLS_KEY, access=way, only=("client.async",))
        alone = run_contract(served.url, api_key=TLS_KEY, access=Access(ca=trusted))
    departed = [f"{group.first.check}: {group.first.got}" for group in report.groups]
    assert (departed, report.obstacles, report.exit_code) == ([], (), 0)
    outcomes = (*report.outcomes, *async_report.outcomes)
    layers = {outcome.layer for outcome in outcomes if outcome.outcome is Outcome.HELD}
    assert {Layer.SCENARIO, Layer.CLIENT, Layer.SCHEMA} <= layers
    assert (async_report.departures, async_report.exit_code) == ((), 0)
    # Each part opened its own connections.
    assert len(proxy.heads) >= 3
    assert alone.exit_code == 2
