"""Findings of axe-core about a page in the browser."""

from __future__ import annotations

import pytest

from codegen.node_packages import MODULES
from tests.support.browser import Page

_AXE = MODULES / "axe-core/axe.min.js"


def check(page: Page, place: str) -> None:
    """Require that axe finds nothing; skip where it is not installed."""
    if not _AXE.exists():
        pytest.skip(f"{_AXE} is not there: `make test-browser` installs axe-core")
    page.call("Runtime.evaluate", expression=_AXE.read_text())
    result = page.run(
        "axe.run(document).then(({ violations }) => violations.map((one) => "
        "[one.id, one.nodes.map((node) => node.html.slice(0, 200) + ' ' + node.failureSummary)]))"
    )
    assert result == [], (place, result)
