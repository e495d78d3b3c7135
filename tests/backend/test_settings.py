"""The key of a backend shows itself to nobody who merely looks."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from synth_pools.backend.settings import Secret, Settings

KEY = "sk_live_abcdef"


def test_the_key_is_in_no_text() -> None:
    settings = Settings(data_dir=Path(), api_key=Secret(KEY))
    for text in (repr(settings), str(settings), repr(settings.api_key), f"{settings.api_key}"):
        assert KEY not in text
    with pytest.raises(TypeError):
        vars(settings.api_key)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(settings)
