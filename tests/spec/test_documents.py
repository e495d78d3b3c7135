"""Documents of the package, and errors for other documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_pools import spec

ROOT = Path(__file__).parents[2]


def test_a_checkout_serves_the_document_that_is_being_edited() -> None:
    assert spec.spec_path() == ROOT / "openapi.yaml"
    assert spec.spec_path("container.openapi.yaml") == ROOT / "container.openapi.yaml"
    with pytest.raises(FileNotFoundError, match=r"none\.yaml is not beside or inside"):
        spec.spec_path("none.yaml")


@pytest.mark.parametrize("text", ["[1]", "text", "null", ""])
def test_what_is_no_document_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(TypeError, match="holds no OpenAPI document"):
        spec.read_spec(path)
    path.write_text("openapi: 3.1.0")
    assert spec.read_spec(path) == {"openapi": "3.1.0"}
