"""Models that play episodes: OpenAI-compatible servers, and what a policy says of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synth_pools.container import EpisodeError, Rollout
from synth_pools.container.models import URL_VARIABLE, server_of

if TYPE_CHECKING:
    import httpx

SAMPLING = ("temperature", "top_p", "max_tokens", "seed", "stop")
MODEL_READS = {
    "model": "name of the model",
    "inference_url": f"address of an OpenAI-compatible server; {URL_VARIABLE} of the container",
    **dict.fromkeys(SAMPLING, "passed on to the server"),
}
# Where turns are no calls of the model, or not all of them.
LIMITS = {
    "max_tokens": "tokens of the model's calls after which the episode is stopped",
    "max_cost_usd": "their cost after which it is stopped, where the server says one",
}
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Model:
    """Model of an OpenAI-compatible server.

    Attributes:
        name: Its name there.
        url: The address, up to `/v1`, which the relay calls.
        sampling: Settings that each call has.
    """

    name: str
    url: str
    sampling: Mapping[str, Any]


def model_of(policy: Mapping[str, Any]) -> Model:
    """Return the model that a policy names.

    Args:
        policy: `model`, `inference_url` and settings of sampling.

    Raises:
        EpisodeError: It names none, or no address.
    """
    name = policy.get("model")
    if not isinstance(name, str) or not name:
        raise EpisodeError("The policy names no model: `model` is its name.")
    settings = {name: policy[name] for name in SAMPLING if policy.get(name) is not None}
    return Model(name, server_of(policy)[0], settings)


def open_client() -> httpx.AsyncClient:
    """Return a client for the calls of an episode, which the caller closes."""
    # Not needed by the frameworks that have a client of their own.
    import httpx

    from synth_pools.environments.relay_client import RelayTransport

    return httpx.AsyncClient(transport=RelayTransport(), trust_env=False)


async def chat(
    http: httpx.AsyncClient, rollout: Rollout, model: Model, messages: Sequence[Mapping[str, Any]]
) -> str:
    """Return the text that a model answers; the call is recorded, and counts for the limits.

    Args:
        http: The client.
        rollout: The rollout that it plays.
        model: The model.
        messages: The conversation so far.

    Raises:
        EpisodeError: The server refuses, cannot be reached, or answers something else.
    """
    # As above.
    import httpx

    body = {**model.sampling, "model": model.name, "messages": messages}
    # Turns are steps of the environment, which counts them.
    address = f"{rollout.open_model(tuple(LIMITS))}/chat/completions"
    try:
        answer = await http.post(address, json=body)
    except httpx.HTTPError as error:
        raise EpisodeError(f"The model at {model.url} cannot be reached: {error!r}") from None
    if not answer.is_success:
        fault, reason = f"answered {answer.status_code}", answer.text
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            problem = answer.json()["error"]
            reason = str(problem["message"])
            fault = "cannot be reached" if problem.get("code") == "upstream_error" else fault
        raise EpisodeError(f"The model at {model.url} {fault}: {reason[:_LONGEST_REASON]}")
    try:
        text = answer.json()["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise EpisodeError(f"The model at {model.url} answered no chat completion.") from None
    return text if isinstance(text, str) else ""
