"""Models that play episodes: OpenAI-compatible servers, and what a policy says of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synth_pools.container import EpisodeError, Rollout
from synth_pools.container.models import KEY_VARIABLE, URL_VARIABLE, server_of

if TYPE_CHECKING:
    import httpx

SAMPLING = ("temperature", "top_p", "max_tokens", "seed", "stop")
MODEL_READS = {
    "model": "name of the model",
    "inference_url": f"address of an OpenAI-compatible server; {URL_VARIABLE} of the container",
    **dict.fromkeys(SAMPLING, "passed on to the server"),
}
# Where the environment itself counts turns.
LIMITS = {
    "max_tokens": "tokens of the model's calls after which the episode is stopped",
    "max_cost_usd": "their cost after which it is stopped, where the server says one",
}
_NO_KEY_VARIABLE = "SYNTH_POOLS_NO_KEY"
_LONGEST_REASON = 200
_CALL_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Model:
    """Model of an OpenAI-compatible server.

    Attributes:
        name: Its name there.
        url: The address, up to `/v1`.
        key: The key; never the rollout's, but that of the container.
        sampling: Settings that each call has.
    """

    name: str
    url: str
    key: str = field(repr=False)
    sampling: Mapping[str, Any]

    @property
    def key_variable(self) -> str:
        """Name of the variable with its key, for clients that read nothing else, and want one."""
        if not self.key:
            os.environ[_NO_KEY_VARIABLE] = "none"
        return KEY_VARIABLE if self.key else _NO_KEY_VARIABLE


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
    url, key = server_of(policy)
    settings = {name: policy[name] for name in SAMPLING if policy.get(name) is not None}
    return Model(name, url, key, settings)


def open_client() -> httpx.AsyncClient:
    """Return a client for the calls of an episode, which the caller closes."""
    # Not needed by the frameworks that have a client of their own.
    import httpx

    # The relay is in this process, and to read certificates costs more than an episode.
    return httpx.AsyncClient(timeout=_CALL_SECONDS, verify=False, trust_env=False)  # noqa: S501


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
