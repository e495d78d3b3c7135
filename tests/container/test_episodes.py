"""Episodes played in this process: ends, reports and the pool's limits."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from synth_pools.container import Container, EpisodeError, Result, Rollout, SetupError
from synth_pools.container.ends import Episode
from synth_pools.container.episodes import Episodes
from tests.support.fleet_service import until


def container_of(function: Any, **options: Any) -> Container:
    container = Container("words", **options)
    container.rollout(function)
    return container


def report_much(rollout: Rollout) -> None:
    rollout.event({"step": 1})
    rollout.usage(input_tokens=12, cost_usd=None)
    rollout.usage(input_tokens=3, output_tokens=1)
    rollout.artifact("notes.txt", "so far")
    rollout.metrics["steps"] = 1
    rollout.reward = 0.25


async def test_a_rollout_has_what_its_function_reports() -> None:
    async def play(rollout: Rollout) -> Result:
        report_much(rollout)
        print("step", rollout.seed)
        assert rollout.remaining is None
        return Result(
            reward=len(rollout.env["text"]) / 10,
            metrics={"turns": 2},
            artifacts={"a/picture.bin": b"\0\xff", "moves.json": [1, {"to": None}]},
            extra={"trace": ["a"]},
        )

    played = container_of(play, tasks=["short"]).test("short", seed=7, env={"text": "four"})
    assert (played.status, played.reward, played.detail) == ("completed", 0.4, None)
    assert played.metrics == {"steps": 1, "turns": 2, "outcome_reward": 0.4}
    assert played.usage == {"input_tokens": 15, "output_tokens": 1}
    assert [(event["sequence"], event["step"]) for event in played.events] == [(1, 1)]
    assert played.artifacts == {
        "notes.txt": "so far",
        "a/picture.bin": b"\0\xff",
        "moves.json": '[1,{"to":null}]',
        "log.txt": "step 7\n",
    }
    assert played.answer["trace"] == ["a"]


@pytest.mark.parametrize("value", [0.5, None])
def test_a_plain_function_may_return_a_number_or_nothing(value: Any) -> None:
    def play(rollout: Rollout) -> Any:
        rollout.reward = 0.5
        return value

    assert container_of(play).test().reward == 0.5


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (ValueError("the model is silent"), "ValueError: the model is silent"),
        (SystemExit(3), "SystemExit: 3"),
        (StopIteration(), "StopIteration"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
    ],
)
def test_an_exception_is_a_failed_rollout_with_its_message(
    error: BaseException, detail: str
) -> None:
    def play(rollout: Rollout) -> None:
        report_much(rollout)
        raise error

    played = container_of(play).test()
    assert (played.status, played.reward, played.detail) == ("failed", None, detail)
    assert played.answer["success_status"] == "runtime_error"
    assert played.answer["partial"] == {"reward": 0.25}
    assert played.usage["input_tokens"] == 15
    assert f"{__file__}, line" in played.answer["error"]["place"]
    # The lines of the function, none of ours.
    log = played.artifacts["log.txt"]
    assert isinstance(log, str)
    assert "raise error" in log
    assert "synth_pools/container" not in log


@pytest.mark.parametrize("status", ["failed", "timeout"])
async def test_an_episode_that_could_not_be_played_has_no_score(status: Any) -> None:
    async def play(rollout: Rollout) -> None:
        rollout.reward = 0.0
        raise EpisodeError("The answer has no action.", status)

    played = container_of(play).test()
    assert (played.status, played.reward) == (status, None)
    assert played.detail == "The answer has no action."
    assert played.artifacts == {}


@pytest.mark.parametrize("value", ["0.5", float("nan"), {"reward": 1}, float("inf")])
def test_what_is_no_result_is_a_failure(value: Any) -> None:
    played = container_of(lambda _: value).test()
    assert (played.status, played.reward) == ("failed", None)


async def test_an_episode_is_stopped_before_the_pool_gives_it_up() -> None:
    async def play(rollout: Rollout) -> None:
        report_much(rollout)
        assert rollout.remaining is not None
        assert 0 < rollout.remaining < 1.9
        await asyncio.sleep(60)

    played = container_of(play).test(limits={"timeout_seconds": 2})
    assert (played.status, played.reward) == ("timeout", None)
    assert played.answer["partial"] == {"reward": 0.25}
    assert played.metrics == {"steps": 1}
    assert played.usage == {"input_tokens": 15, "output_tokens": 1}
    assert played.artifacts == {"notes.txt": "so far"}


async def test_a_plain_function_is_stopped_at_its_next_report() -> None:
    stopped = threading.Event()

    def play(rollout: Rollout) -> float:
        try:
            while True:
                rollout.event({})
        finally:
            assert rollout.is_cancelled
            stopped.set()

    played = container_of(play).test(limits={"timeout_seconds": 2})
    assert stopped.wait(60)
    assert played.status == "timeout"


async def test_a_function_that_ignores_its_end_is_left_behind_and_its_answer_dropped() -> None:
    release = threading.Event()

    def plain(_: Rollout) -> float:
        release.wait(60)
        return 1.0

    async def deaf(_: Rollout) -> float:
        # It blocks the event loop of all async functions.
        return plain(_)

    for play in (plain, deaf):
        played = container_of(play).test(limits={"timeout_seconds": 0.1})
        assert (played.status, played.reward) == ("timeout", None)
    release.set()


def test_calls_in_threads_neither_wait_for_each_other_nor_leave_anything() -> None:
    release, start, things = threading.Event(), threading.Barrier(41), list[weakref.ref[Any]]()
    names = set[int]()

    class Thing:
        def hang(self) -> None:
            start.wait(60)
            release.wait(60)

        def note(self) -> None:
            names.add(threading.get_ident())

    async def play(_rollout: Rollout) -> float:
        hanging = [asyncio.create_task(asyncio.to_thread(Thing().hang)) for _ in range(40)]
        await asyncio.to_thread(start.wait, 60)
        for _ in range(100):
            thing = Thing()
            things.append(weakref.ref(thing))
            await asyncio.to_thread(thing.note)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)
        release.set()
        await asyncio.gather(*hanging)
        return 1.0

    assert container_of(play).test().reward == 1.0
    # A thread may take its next call a moment late.
    assert len(names) <= 20
    del play
    gc.collect()
    assert until(lambda: [thing() for thing in things] == [None] * 100)
    assert until(lambda: not any(item.name == "call" for item in threading.enumerate()))


def test_a_task_has_its_metadata() -> None:
    def play(rollout: Rollout) -> float:
        return float(rollout.task["words"])

    container = container_of(play, tasks={"short": {"words": 2}})
    assert container.test("short").reward == 2.0
    played = container.test("shrot")
    assert (played.status, played.reward) == ("failed", None)
    assert played.detail == "There is no task 'shrot' here. The tasks are: short"


def test_tasks_are_listed_once_after_the_setup() -> None:
    calls = []

    async def list_tasks() -> dict[str, Any]:
        calls.append("tasks")
        return {"a": {"x": 1}}

    container = container_of(lambda rollout: len(rollout.task), tasks=list_tasks)

    @container.setup
    async def prepare() -> None:
        calls.append("setup")

    @container.shutdown
    def end() -> None:
        calls.append("shutdown")

    assert container.test("a").reward == 1
    assert calls == ["setup", "tasks", "shutdown"]


def test_a_failed_start_names_the_line() -> None:
    container = container_of(lambda _: 1.0)

    @container.setup
    def prepare() -> None:
        raise FileNotFoundError("no words.txt")

    with pytest.raises(SetupError, match=r"no words.txt") as raised:
        container.test()
    last = str(raised.value).splitlines()[-1]
    assert last.startswith(f"The container cannot start. {__file__}, line ")
    assert last.endswith("FileNotFoundError: no words.txt")

    def explain() -> None:
        raise SetupError("There is no words.txt here.")

    container.setup(explain)
    # A sentence of the container's own is enough.
    with pytest.raises(SetupError, match=r"^There is no words.txt here.$"):
        container.test()
    with pytest.raises(SetupError, match=r"@container.rollout"):
        Container("empty").test()


@dataclass
class Move:
    to: int


def test_a_finalizer_may_print_in_the_middle_of_a_report() -> None:
    def play(rollout: Rollout) -> float:
        # Whatever runs while the lock is held, by a collection of garbage for example.
        with rollout._lock:
            print("finalized")
            rollout.event({})
        return 1.0

    played = container_of(play).test(limits={"timeout_seconds": 20})
    assert (played.status, played.artifacts) == ("completed", {"log.txt": "finalized\n"})


def test_anything_can_be_reported() -> None:
    circle: dict[str, Any] = {}
    circle["x"] = circle["y"] = circle
    value: dict[Any, Any] = {
        "nan": [float("nan"), 1],
        1: {2},
        "move": Move(3),
        "circle": circle,
        "large": 10**5000,
        "odd": object,
        "text": "\ud800",
    }

    def play(rollout: Rollout) -> None:
        rollout.event(value)
        value.clear()

    [event] = container_of(play).test().events
    assert event["nan"] == [None, 1]
    assert event["1"] == [2]
    assert event["move"] == {"to": 3}
    assert event["circle"] == {"x": "<dict>", "y": "<dict>"}
    assert event["text"] == "\ud800"


def test_an_answer_that_cannot_be_written_is_a_failure() -> None:
    def play(rollout: Rollout) -> Result:
        rollout.metrics = None  # type: ignore[assignment]
        raise ValueError("no metrics")

    assert container_of(play).test().detail == "ValueError: no metrics"


def test_an_answer_that_takes_too_much_memory_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: Any) -> bytes:
        raise MemoryError

    async def answer() -> Any:
        episodes = Episodes(container_of(lambda _: 1.0))
        async with episodes.open():
            episode = episodes.submit({"rollout_id": "a"})
            await episode.ended.wait()
        return json.loads(episode.state())

    monkeypatch.setattr(Episode, "_write", write)
    assert asyncio.run(answer()) == {
        "rollout_id": "a",
        "status": "failed",
        "status_detail": "The container could not run it: MemoryError",
    }


def test_containers_in_one_process_do_not_share_logs(capsys: pytest.CaptureFixture[str]) -> None:
    stdout = sys.stdout
    first = container_of(lambda _: print("first"))
    second = container_of(lambda _: print("second"))
    with ExitStack() as outer:
        with first.running():
            outer.enter_context(second.running())
        # The first has ended, and was the first to begin.
        assert second.test().artifacts == {"log.txt": "second\n"}
    assert sys.stdout is stdout
    assert capsys.readouterr().out == "second\n"


@pytest.mark.parametrize("tasks", ["short", 5, [("a", 1)], {"a": 5}, lambda: [None]])
def test_tasks_are_ids_or_a_mapping_from_ids(tasks: Any) -> None:
    with pytest.raises(SetupError, match="neither ids nor a mapping"):
        container_of(lambda _: 1.0, tasks=tasks).test()


def test_wrong_containers_are_refused() -> None:
    with pytest.raises(ValueError, match="has a name"):
        Container("")
    with pytest.raises(ValueError, match="positive"):
        Container("a", concurrency=0)
    with pytest.raises(TypeError, match="generator"):
        container_of(generator)


def generator(_: Rollout) -> Any:
    yield 1
