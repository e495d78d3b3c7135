"""Models that play episodes: OpenAI-compatible servers, and what a policy says of them."""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from synth_pools.container import EpisodeError, Rollout

if TYPE_CHECKING:
    import httpx

KEY_VARIABLE = "OPENAI_API_KEY"
URL_VARIABLE = "OPENAI_BASE_URL"
SAMPLING = ("temperature", "top_p", "max_tokens", "seed", "stop")
READS = {
    "model": "name of the model",
    "inference_url": f"address of an OpenAI-compatible server; {URL_VARIABLE} of the container",
    **dict.fromkeys(SAMPLING, "passed on to the server"),
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

    The key is `OPENAI_API_KEY` of the container. Where its `OPENAI_BASE_URL` is set, only a server
    of that origin gets the key: a rollout may name any address.

    Args:
        policy: `model`, `inference_url` and settings of sampling.

    Raises:
        EpisodeError: It names none, or no address.
    """
    own_url = os.environ.get(URL_VARIABLE, "")
    name, url = policy.get("model"), policy.get("inference_url") or own_url
    if not isinstance(name, str) or not name:
        raise EpisodeError("The policy names no model: `model` is its name.")
    if not isinstance(url, str) or _origin(url) is None:
        raise EpisodeError(
            "The policy has no address of a model: `inference_url` is one such as "
            "http://127.0.0.1:8000/v1."
        )
    key = os.environ.get(KEY_VARIABLE, "")
    if own_url and _origin(own_url) != _origin(url):
        key = ""
    settings = {name: policy[name] for name in SAMPLING if policy.get(name) is not None}
    return Model(name, url.rstrip("/"), key, settings)


def _origin(url: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port


def open_client() -> httpx.AsyncClient:
    """Return a client for the calls of an episode, which the caller closes."""
    # Not needed by the frameworks that have a client of their own.
    import httpx

    return httpx.AsyncClient(timeout=_CALL_SECONDS, verify=_certificates())


@functools.cache
def _certificates() -> ssl.SSLContext:
    # As above. To read them costs more than an episode.
    import httpx

    return httpx.create_ssl_context()


async def chat(
    http: httpx.AsyncClient, rollout: Rollout, model: Model, messages: Sequence[Mapping[str, Any]]
) -> str:
    """Return the text that a model answers, and add to the usage of the rollout.

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

    headers = {"authorization": f"Bearer {model.key}"} if model.key else {}
    body = {**model.sampling, "model": model.name, "messages": list(messages)}
    address = f"{model.url}/chat/completions"
    try:
        answer = await http.post(address, json=body, headers=headers)
    except httpx.HTTPError as error:
        raise EpisodeError(f"The model at {model.url} cannot be reached: {error!r}") from None
    if not answer.is_success:
        reason = answer.text[:_LONGEST_REASON]
        raise EpisodeError(f"The model at {model.url} answered {answer.status_code}: {reason}")
    try:
        value = answer.json()
        text = value["choices"][0]["message"]["content"]
        usage = value.get("usage") or {}
        rollout.usage(
            input_tokens=usage.get("prompt_tokens"), output_tokens=usage.get("completion_tokens")
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise EpisodeError(f"The model at {model.url} answered no chat completion.") from None
    return text if isinstance(text, str) else ""
