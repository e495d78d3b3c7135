"""The libraries whose clients a caller may supply as `http_client=`."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest


@pytest.fixture(params=["httpx", "httpx2"])
def supplied(request: pytest.FixtureRequest) -> ModuleType:
    """Library of the HTTP client that a test supplies."""
    return import_module(request.param)
