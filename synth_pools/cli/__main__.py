"""`python -m synth_pools.cli`, for where the console script is not on the path."""

from __future__ import annotations

import sys

from synth_pools.cli import run

sys.exit(run())
