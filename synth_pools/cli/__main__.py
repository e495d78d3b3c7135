"""`python -m synth_pools.cli`, for environments whose scripts are not on the path."""

from __future__ import annotations

import sys

from synth_pools.cli import run

sys.exit(run())
