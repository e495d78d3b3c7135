"""Models of rollouts, whose calls a container records."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from synth_pools.container import Container, EpisodeError, PlayedRollout, Rollout
from tests.support.backend_server import eventually
from tests.support.recording import RecordingServer, Reply
from tests.support.scripted_models import CACHED_TOKENS, ScriptedModels

# To read certificates for each call would take longer than all else here.
HTTP = httpx.Client(verify=False, trust_env=False, timeout=60)


@pytest.fixture(scope="module")
def models() -> Iterator[ScriptedModels]:
    with ScriptedModels() as server:
        yield server


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-container")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def ask(rollout: Rollout, text: str, **fields: Any) -> httpx.Response:
    body = {"model": rollout.policy["model"], "messages": [{"role": "user", "content": text}]}
    url = f"{rollout.model_url}/chat/completions"
    return HTTP.post(url, json={**body, **fields}).raise_for_status()


def play(
    function: Callable[[Rollout], Any], models: ScriptedModels, model: str = "say:ho", **more: Any
) -> PlayedRollout:
    container = Container("models")
    container.rollout(function)
    policy = {"model": model, "inference_url": models.base_url}
    return container.test(**{"policy": policy, **more})


def steps(played: PlayedRollout) -> list[tuple[str, str]]:
    document = played.answer["trajectory"]
    return [(step["source"], step["message"]) for step in document["steps"]]


@pytest.mark.parametrize("is_async", [False, True])
def test_calls_are_steps_and_usage(models: ScriptedModels, is_async: bool) -> None:
    addresses = []

    def ask_twice(rollout: Rollout) -> float:
        for text in ("one", "two words"):
            ask(rollout, text)
            addresses.append(rollout.model_url)
        return 0.5

    async def ask_in_loop(rollout: Rollout) -> float:
        return await asyncio.to_thread(ask_twice, rollout)

    played = play(ask_in_loop if is_async else ask_twice, models)
    assert (played.status, played.reward) == ("completed", 0.5)
    assert steps(played) == [
        ("user", "one"), ("agent", "ho"), ("user", "two words"), ("agent", "ho"),
    ]  # fmt: skip
    assert len(set(addresses)) == 1
    assert played.usage["input_tokens"] == 3
    assert played.usage["output_tokens"] == 2
    [first, *_] = [step for step in played.answer["trajectory"]["steps"] if "metrics" in step]
    assert first["metrics"]["cached_tokens"] == CACHED_TOKENS
    assert len(first["metrics"]["completion_token_ids"]) == 1
    assert [event["source"] for event in played.events] == ["user", "agent"] * 2
    assert models.requests[-1].headers["authorization"] == "Bearer sk-container"
    assert "sk-container" not in str(played.answer)
    # It is for this rollout alone, and ends with it.
    with pytest.raises(httpx.HTTPError):
        HTTP.get(f"{addresses[0]}/models").raise_for_status()


def test_events_tell_what_tools_answer(models: ScriptedModels) -> None:
    def look(rollout: Rollout) -> float:
        url = f"{rollout.model_url}/chat/completions"
        messages: list[dict[str, Any]] = [{"role": "user", "content": "look"}]
        body = {"model": rollout.policy["model"], "messages": messages}
        messages.append(HTTP.post(url, json=body).json()["choices"][0]["message"])
        messages.append({"role": "tool", "tool_call_id": "call_0", "content": "a door"})
        HTTP.post(url, json=body).raise_for_status()
        return 1

    played = play(look, models, 'calls:["look:{}", "seen"]')
    pairs = [(event["step_id"], event.get("observation")) for event in played.events]
    assert pairs == [(1, None), (2, None), (2, ["a door"]), (3, None)]
    assert played.answer["trajectory"]["final_metrics"]["total_steps"] == 3


def test_usage_of_the_function_s_own_counts_alone(models: ScriptedModels) -> None:
    def count(rollout: Rollout) -> float:
        ask(rollout, "one")
        rollout.usage(input_tokens=70, seconds=3)
        return 1

    usage = play(count, models).usage
    assert (usage["input_tokens"], usage["output_tokens"], usage["seconds"]) == (70, 1, 3)


def test_a_crash_leaves_what_was_said(models: ScriptedModels) -> None:
    def crash(rollout: Rollout) -> None:
        ask(rollout, "one")
        raise ValueError("no")

    played = play(crash, models)
    assert played.status == "failed"
    assert steps(played) == [("user", "one"), ("agent", "ho")]


def test_a_limit_ends_the_episode(models: ScriptedModels) -> None:
    def insist(rollout: Rollout) -> None:
        for _ in range(3):
            ask(rollout, "one")

    played = play(insist, models, limits={"max_turns": 2})
    assert (played.status, played.reward) == ("timeout", None)
    assert played.detail == "The episode was stopped: max_turns is 2."
    assert steps(played)[-1] == ("system", played.detail)

    refusals: list[str | None] = []

    def give_up(rollout: Rollout) -> float:
        refusals.append(rollout.refusal)
        with pytest.raises(httpx.HTTPStatusError):
            insist(rollout)
        refusals.append(rollout.refusal)
        return 0.25

    played = play(insist, models, limits={"max_turns": "2"})
    assert (played.status, played.detail) == ("failed", '`limits.max_turns` is no number: "2".')
    # The log tells what the function raised.
    insisted = play(insist, models, limits={"max_turns": 2})
    [log] = [item["content"] for item in insisted.answer["artifacts"]]
    assert "httpx.HTTPStatusError" in log
    # A function that ends well all the same has its reward.
    played = play(give_up, models, limits={"max_tokens": 2})
    assert (played.status, played.reward) == ("completed", 0.25)
    assert refusals == [None, "The episode was stopped: max_tokens is 2."]


def test_a_limit_of_dollars_that_ends_nothing_is_logged_once(
    models: ScriptedModels, caplog: pytest.LogCaptureFixture
) -> None:
    def ask_twice(rollout: Rollout) -> float:
        for text in ("one", "two"):
            ask(rollout, text)
        return 1

    def lines(limits: dict[str, Any]) -> list[str]:
        caplog.clear()
        assert play(ask_twice, models, limits=limits).status == "completed"
        return [text for text in caplog.messages if "max_cost_usd" in text]

    [line] = lines({"max_cost_usd": 1e-9})
    assert "the server says no cost of the model 'say:ho'" in line
    assert lines({"max_tokens": 1000}) == []


def test_prices_end_the_episode_at_a_limit_of_dollars(
    models: ScriptedModels, caplog: pytest.LogCaptureFixture
) -> None:
    prices = {"*": {"input": 2e6, "output": 1e6, "cached": 1e6}}
    container = Container("models", prices=prices)

    @container.rollout
    def insist(rollout: Rollout) -> None:
        for _ in range(3):
            ask(rollout, "one two")

    policy = {"model": "say:ho", "inference_url": models.base_url}
    played = container.test(policy=policy, limits={"max_cost_usd": 5})
    assert played.detail == "The episode was stopped: max_cost_usd is 5."
    # A call reads a token, and another of a cache, and writes a token.
    assert (played.usage["cost_usd"], played.usage["estimated_cost_usd"]) == (8, 8)
    metrics = played.answer["trajectory"]["steps"][1]["metrics"]
    assert (metrics["cost_usd"], metrics["extra"]) == (4, {"estimated_cost_usd": 4})
    assert not [text for text in caplog.messages if "max_cost_usd" in text]
    for costs in ({"input": 1}, {"input": 1, "output": 1, "cached_input": 1}):
        with pytest.raises(ValueError, match="m needs input and output"):
            Container("models", prices={"m": costs})


def test_limits_of_a_server_that_says_no_usage_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    message = {"role": "assistant", "content": "ho"}
    with RecordingServer(Reply.json({"choices": [{"message": message}]})) as server:
        container = Container("models")
        container.rollout(lambda rollout: len([ask(rollout, text) for text in ("one", "two")]))
        policy = {"model": "m", "inference_url": f"{server.url}/v1"}
        played = container.test(policy=policy, limits={"max_tokens": 1, "max_cost_usd": 1})
    assert played.status == "completed"
    for name in ("max_tokens", "max_cost_usd"):
        [line] = [text for text in caplog.messages if name in text]
        assert "the server says no usage of the model 'm'" in line


def test_a_rollout_that_is_stopped_keeps_its_steps() -> None:
    container = Container("models")

    @container.rollout
    def wait(rollout: Rollout) -> None:
        ask(rollout, "one")
        ask(rollout, "two", model="slow:600:say:late")

    with ScriptedModels() as models, container.running() as url:
        policy = {"model": "say:ho", "inference_url": models.base_url}
        request = {"rollout_id": "r", "policy": policy, "submission_mode": "async"}
        HTTP.post(f"{url}/rollouts", json=request).raise_for_status()
        eventually(lambda: len(models.requests) == 2, 60)
        HTTP.post(f"{url}/rollouts/r/terminate").raise_for_status()
        answer = HTTP.get(f"{url}/rollouts/r").json()
    assert answer["status"] == "cancelled"
    *earlier, last = answer["trajectory"]["steps"]
    assert [step["message"] for step in earlier] == ["one", "ho", "two"]
    assert last["extra"]["error"]["message"] == "the episode has ended"
    assert answer["usage"]["output_tokens"] == 1


def test_a_policy_without_an_address_fails_in_a_sentence(models: ScriptedModels) -> None:
    played = play(lambda rollout: rollout.model_url, models, policy={"model": "m"})
    assert played.status == "failed"
    assert "inference_url" in str(played.detail)
    policy = {"model": "m", "inference_url": "http://me:secret@127.0.0.1:9/v1"}
    played = play(lambda rollout: rollout.model_url, models, policy=policy)
    assert str(played.detail).startswith("The policy has no address of a model")


def test_a_proxy_of_another_kind_fails_in_a_sentence(
    models: ScriptedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@127.0.0.1:1080")
    policy = {"model": "m", "inference_url": "http://models.example.org/v1"}
    played = play(lambda rollout: rollout.model_url, models, policy=policy)
    assert str(played.detail).startswith("The proxy of the environment for http is none of HTTP")
    assert "secret" not in str(played.answer)


@pytest.mark.parametrize("is_json", [True, False])
def test_a_key_that_is_repeated_is_not_recorded(is_json: bool) -> None:
    text = "Incorrect API key provided: sk-container."
    body = json.dumps({"error": {"message": text}}) if is_json else text

    def raise_it(rollout: Rollout) -> None:
        try:
            ask(rollout, "one sk-container")
        except httpx.HTTPStatusError as error:
            assert error.response.text == body
            raise ValueError(error.response.text) from None

    container = Container("models")
    container.rollout(raise_it)
    with RecordingServer(Reply(401, body.encode())) as server:
        policy = {"model": "m", "inference_url": f"{server.url}/v1"}
        played = container.test(policy=policy)
    assert played.status == "failed"
    assert "API key provided: ***." in str(played.detail)
    [_, call] = played.answer["trajectory"]["steps"]
    assert "API key provided: ***." in call["extra"]["error"]["message"]
    assert "sk-container" not in f"{played.answer}{played.events}"


def test_the_secret_of_the_address_is_in_no_answer(models: ScriptedModels) -> None:
    urls: list[str] = []

    def fail(rollout: Rollout) -> None:
        urls.append(rollout.model_url)
        print(urls[0])
        HTTP.get(f"{urls[0]}/nothing").raise_for_status()

    played = play(fail, models)
    assert "/r/***/v1/nothing" in str(played.detail)
    assert urls[0].split("/")[4] not in str(played.answer)


def test_a_word_in_the_place_of_a_key_is_no_secret(
    models: ScriptedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "anything")

    def fail(rollout: Rollout) -> None:
        ask(rollout, "anything else")
        raise ValueError("anything goes")

    played = play(fail, models)
    assert played.detail == "ValueError: anything goes"
    assert steps(played)[0] == ("user", "anything else")


def test_another_server_gets_no_key(
    models: ScriptedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert play(lambda rollout: len(ask(rollout, "one").text), models).status == "completed"
    assert "authorization" not in models.requests[-1].headers


def test_many_rollouts_have_calls_of_their_own(models: ScriptedModels) -> None:
    container = Container("models")
    container.rollout(lambda rollout: len(ask(rollout, str(rollout.seed)).text))
    policy = {"model": "say:ho", "inference_url": models.base_url}
    with container.running() as url:
        ids = [f"r{seed}" for seed in range(8)]
        for seed, rollout_id in enumerate(ids):
            body = {"rollout_id": rollout_id, "policy": policy, "seed": seed}
            HTTP.post(f"{url}/rollouts", json={**body, "submission_mode": "async"})
        for seed, rollout_id in enumerate(ids):
            answer = HTTP.post(f"{url}/rollouts", json={"rollout_id": rollout_id}).json()
            messages = [step["message"] for step in answer["trajectory"]["steps"]]
            assert messages == [str(seed), "ho"]


def test_threads_of_a_rollout_share_its_address_and_its_limit(models: ScriptedModels) -> None:
    def ask_at_once(rollout: Rollout) -> float:
        with ThreadPoolExecutor(8) as pool:
            urls = set(pool.map(lambda _: rollout.model_url, range(8)))
        assert len(urls) == 1
        return 1

    for _ in range(5):
        assert play(ask_at_once, models).status == "completed"


def test_after_its_end_a_rollout_has_no_address(models: ScriptedModels) -> None:
    rollouts: list[Rollout] = []
    played = play(lambda rollout: rollouts.append(rollout), models)
    assert played.status == "completed"
    with pytest.raises(EpisodeError, match="has ended"):
        _ = rollouts[0].model_url
