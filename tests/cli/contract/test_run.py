"""Progress and refusals of `synth-pools contract-test`."""

from __future__ import annotations

import sys
from typing import Any

import httpx
import pytest

from synth_pools.cli.contract import runs
from synth_pools.cli.main import main
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.support.recording import Recorded, RecordingServer, Reply


def progress(monkeypatch: pytest.MonkeyPatch, *, live: bool) -> runs._Progress:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: live, raising=False)
    return runs._Progress()


def test_on_a_terminal_each_line_takes_the_place_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress_line = progress(monkeypatch, live=True)
    progress_line("scenarios", 3, 12)
    assert capsys.readouterr().err == "\rscenarios 3/12"
    progress_line("end", 0, 1)
    assert capsys.readouterr().err == "\rend           ", "nothing of the former one is left"
    progress_line("x" * 200, 0, 0)
    assert capsys.readouterr().err == f"\r{'x' * 120}"
    progress_line.end()
    assert capsys.readouterr().err == f"\r{' ' * 120}\r"


def test_elsewhere_each_phase_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress_line = progress(monkeypatch, live=False)
    for done in range(3):
        progress_line("first", done, 3)
    progress_line("second", 0, 1)
    progress_line("first", 1, 3)
    # A step without a number is frequent, and not worth a line each time.
    progress_line("waiting", 0, 0)
    progress_line.end()
    assert capsys.readouterr().err == "... first 0/3\n... second\n... first 1/3\n"


@pytest.mark.parametrize("text", ["[1]", "7", '"x"', "null"])
def test_a_request_that_is_no_object_is_refused(command: Command, text: str) -> None:
    done = command("contract-test", "http://127.0.0.1:9", "--pool-request", text)
    assert done.returncode == 2
    assert "no JSON object" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "module", "message"),
    [
        (["contract-diff", "a.yaml", "b.yaml"], "yaml", "`contract-diff` needs yaml"),
        (["contract-test", "http://127.0.0.1:9"], "yaml", "`contract-test` needs yaml"),
    ],
)
def test_what_the_extra_has_is_named_where_it_is_missing(
    words: list[str],
    module: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [*sys.modules]:
        if name.startswith(("synth_pools.contract", "synth_pools.spec.changes")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert main(words) == 2
    text = capsys.readouterr().err
    assert message in text
    assert "pip install 'synth-pools[contract,cli]'" in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("url", ["nowhere", "ftp://127.0.0.1"])
def test_a_proxy_for_what_is_no_url_is_refused(command: Command, url: str) -> None:
    done = command("contract-proxy", url)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("is_refused", [False, True])
def test_what_earlier_runs_left_is_removed_or_told_of(
    command: Command, backend: LocalBackend, is_refused: bool
) -> None:
    pool_id = f"contract-kit-0123abcd-{is_refused}"
    ours: Any = {"id": pool_id, "name": "left", "target": "arbitrary", "tasks": []}
    headers = {"authorization": f"Bearer {backend.api_key}", "content-type": "application/json"}

    def forward(request: Recorded) -> Reply:
        """Send it on; nothing can be deleted where that is refused."""
        if request.method == "DELETE" and is_refused:
            return Reply.json({"error": {"code": "internal_error", "message": "no"}}, 500)
        url = f"{backend.url}{request.target}"
        answer = httpx.request(request.method, url, headers=headers, content=request.body)
        answer_headers = {"Content-Type": answer.headers["content-type"]}
        return Reply(answer.status_code, answer.content, answer_headers)

    with backend.client() as client:
        client.create_pool(ours)
        with RecordingServer(forward) as server:
            done = command("contract-test", server.url, "--cleanup")
        status = client.get_pool(pool_id)["status"]
        if is_refused:
            client.delete_pool(pool_id)
    counts = "0 pools of earlier runs, 1" if is_refused else "1 pools of earlier runs, 0"
    assert done.stdout == f"removed {counts} could not be removed\n"
    assert done.returncode == (2 if is_refused else 0)
    assert status == ("active" if is_refused else "archived")
