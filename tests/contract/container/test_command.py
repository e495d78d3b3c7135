"""`synth-pools container-test`: exit status, reports, baseline, and runs that judge nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from synth_pools.cli import run
from synth_pools.contract.container import submissions
from synth_pools.contract.container.level import CheckLevel, container_scenarios, level_of
from synth_pools.contract.container.run import run_container_test
from synth_pools.contract.exceptions import InterruptedRunError
from synth_pools.contract.results import Report
from synth_pools.spec import load_container_spec
from tests.contract.container.faults import FAULTS
from tests.contract.container.right_container import KEY, Answer, Ask, Call, right_container
from tests.support.ports import HeldPort


def test_levels_are_the_first_words_of_the_ids_and_run_in_their_order() -> None:
    levels = [level_of(scenario.id) for scenario in container_scenarios()]
    assert list(dict.fromkeys(levels)) == list(CheckLevel)
    for scenario in container_scenarios():
        assert scenario.play.__name__ == scenario.id.replace(".", "_")
        assert scenario.play.__module__.endswith(f".{level_of(scenario.id)}")


def test_words_of_states_are_those_of_the_document() -> None:
    text = load_container_spec()["info"]["description"]
    for pattern, words in (
        ("in capitals or not.(.*?)say that", submissions.UNDER_WAY),
        ("its end.(.*?)are a failure", submissions.FAILURES),
        ("other than(.*?); the", submissions.SUCCESSES),
    ):
        [sentence] = re.findall(pattern, text, re.DOTALL)
        assert set(re.findall(r"`(\w+)`", sentence)) == words
    rewards = re.findall(r"`([\w.]+)`", re.findall(r"\*Reward\.\*(.*?);", text, re.DOTALL)[0])
    assert tuple(tuple(place.split(".")) for place in rewards) == submissions.REWARDS


@pytest.mark.parametrize(
    ("name", "status", "line"),
    [
        (None, 0, "conforms: "),
        ("reward_is_a_text", 1, "container.openapi.yaml:"),
        ("submission_is_text", 1, "departs: "),
    ],
)
def test_exit_status_and_table(
    name: str | None, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = () if name is None else (FAULTS[name].act,)
    with right_container(*planted) as url:
        assert run(["container-test", url, "--level", "rollouts"]) == status
    assert line in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404, {}), "has no POST /rollouts: is it a container?"),
        (Answer(401, {}), "it wants a key: give --api-key"),
        (Answer(500, {"detail": "no env"}), "give --rollout-request with what one needs"),
    ],
)
def test_a_container_that_runs_nothing_is_not_judged(answer: Answer, reason: str) -> None:
    async def act(call: Call, ask: Ask) -> Answer:
        return answer if call.method == "POST" else await ask(call)

    with right_container(act) as url:
        report = run_container_test(url)
    assert report.exit_code == 2
    assert reason in report.summary


@pytest.mark.parametrize(
    "options", [{"only": ("protocol.key",)}, {"only": ("load",), "level": "answers"}]
)
def test_a_run_that_judges_nothing_does_not_end_with_0(options: dict[str, Any]) -> None:
    with right_container() as url:
        assert run_container_test(url, **options).exit_code == 2


def test_wrong_arguments_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    # Bound, and refused: no other program listens there meanwhile.
    url = f"http://127.0.0.1:{HeldPort.kept().number}"
    for arguments, reason in (
        ([url], "nobody answers"),
        ([url, "--only", "rolouts"], "no check is called 'rolouts'"),
        ([url, "--baseline-prune"], "need --baseline"),
        ([url, "--slow-request", "[]"], "no JSON object"),
        (["nonsense"], "no URL"),
    ):
        assert run(["container-test", *arguments]) == 2
        assert reason in capsys.readouterr().err
    assert run(["container-test", "--list"]) == 0
    listed = capsys.readouterr().out
    assert all(scenario.id in listed for scenario in container_scenarios())
    assert "After a 2XX the rollout ends" in listed


def test_a_departure_that_is_known_does_not_count(tmp_path: Path) -> None:
    baseline = tmp_path / "known.json"
    with right_container(FAULTS["health_is_500"].act) as url:
        arguments = ["container-test", url, "--level", "answers", "--baseline", str(baseline)]
        assert run(arguments) == 1
        assert run([*arguments, "--baseline-update"]) == 0
        assert run(arguments) == 0


def test_the_key_is_in_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def act(call: Call, ask: Ask) -> Answer:
        answer = await ask(call)
        # Each departure shows an answer that repeats the key.
        return Answer(500, {"key": call.key}) if call.parts == ["info"] else answer

    files = {name: tmp_path / f"r.{name}" for name in ("report", "junit", "json", "har", "ndjson")}
    options = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    with right_container(act, key=KEY) as url:
        assert run(["container-test", url, "--api-key", KEY, "--level", "protocol", *options]) == 1
    output = capsys.readouterr()
    for text in (output.out, output.err, *(file.read_text() for file in files.values())):
        assert KEY not in text
    assert "${ENVIRONMENT_API_KEY}" in output.out
    assert 'os.environ["ENVIRONMENT_API_KEY"]' in output.out


def test_the_key_of_a_service_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: set[str | None] = set()

    async def act(call: Call, ask: Ask) -> Answer:
        keys.add(call.key)
        return await ask(call)

    monkeypatch.setenv("SYNTH_API_KEY", "key-of-a-service-0123456789")
    with right_container(act) as url:
        assert run(["container-test", url, "--level", "answers"]) == 0
    assert keys == {None}


def test_the_older_route_and_a_path_before_the_routes() -> None:
    async def act(call: Call, ask: Ask) -> Answer:
        if call.parts[0] != "v1" or call.parts[1:] == ["rollouts"]:
            return Answer(404, {})
        call.parts = ["rollouts"] if call.parts[1:] == ["rollout"] else call.parts[1:]
        return await ask(call)

    with right_container(act) as url:
        report = run_container_test(f"{url}/v1/", level="protocol")
    assert report.exit_code == 0, report.summary


def test_rollouts_of_the_run_are_terminated_at_its_end() -> None:
    sent: list[str] = []
    terminated: list[str] = []

    async def act(call: Call, ask: Ask) -> Answer:
        if call.route == "POST /rollouts":
            sent.append(call.id)
            # The first rollout and one more do not end.
            is_lost = len(sent) == 1 or call.body["submission_mode"] == "async"
            return Answer(200, {"status": "running"}) if is_lost else await ask(call)
        if call.route == "POST /rollouts/*/terminate":
            terminated.append(call.id)
        if call.route == "GET /rollouts/*" and call.id == sent[0]:
            return Answer(200, {"status": "completed"})
        return Answer(200, {"status": "running"})

    with right_container(act) as url:
        report = run_container_test(url, only=("protocol.modes",), patience=1.0)
    assert report.exit_code == 1
    assert terminated == sent[-1:]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_ends_a_run_leaves_a_report(error: type[BaseException]) -> None:
    reports: list[Report] = []

    def progress(phase: str, done: int, total: int) -> None:
        if phase == "protocol":
            raise error

    with right_container() as url, pytest.raises((InterruptedRunError, RuntimeError)):
        run_container_test(url, progress=progress, on_report=reports.append)
    [report] = reports
    assert report.judged


def test_a_failing_rollout_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    async def act(call: Call, ask: Ask) -> Answer:
        answer = await ask(call)
        if "metrics" in (answer.body or {}):
            answer.body |= {
                "status": "failed",
                "success_status": "error",
                "status_detail": "no env",
            }
        return answer

    with right_container(act) as url:
        assert run(["container-test", url, "--level", "answers"]) == 0
    assert "rollouts fail here (no env)" in capsys.readouterr().out
