"""The official client of OpenAI through a relay."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from synth_pools.relay import EpisodeLimits
from tests.support.relays import running_relay
from tests.support.scripted_models import ScriptedModels

PROGRAM = Path(__file__).parent.parent / "support" / "openai_program.py"

pytestmark = pytest.mark.environments


def test_the_official_client_notices_nothing(
    python_of: Callable[[str], Path], models: ScriptedModels
) -> None:
    limits = EpisodeLimits(max_turns=6)
    with running_relay(models.base_url, "sk-upstream", limits) as running:
        done = subprocess.run(
            [python_of("inspect"), PROGRAM, running.base_url],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "text": "hello there",
        "extra": [],
        "choice_extra": [],
        "logprobs": None,
        "stream": "one\ntwo",
        "stream_usage": [],
        "asked_usage": 2,
        "call": '{"at":1}',
        "error": 500,
        "refusal": 400,
        "repeated": "at last",
        "models": ["say:hi"],
        "unknown": 401,
        "ended": "episode_ended_max_turns",
    }
    errors = [call["extra"].get("error", {}).get("status") for call in running.steps.calls]
    # Each try of the client is recorded.
    assert [status for status in errors if status] == [500, 500, 500, 400, 503]
    assert running.session.turns == 6
    assert "of-the-client" not in str(running.steps.added)
