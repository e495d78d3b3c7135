"""A relay before scripted models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.recording import RecordingServer
from tests.support.relays import Running, running_relay
from tests.support.scripted_models import ScriptedModels


@pytest.fixture(scope="module")
def models() -> Iterator[ScriptedModels]:
    with ScriptedModels() as server:
        yield server


@pytest.fixture(scope="module")
def relay(models: ScriptedModels) -> Iterator[Running]:
    with running_relay(models.base_url, "sk-upstream") as running:
        yield running


@pytest.fixture
def session(relay: Running, models: ScriptedModels) -> Running:
    return relay.session_of(models.base_url, "sk-upstream")


@pytest.fixture
def odd() -> Iterator[RecordingServer]:
    """An upstream that answers as the test says."""
    with RecordingServer() as server:
        yield server
