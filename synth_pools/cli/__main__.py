"""`python -m synth_pools.cli`, for where the console script is not on the path."""

from __future__ import annotations

import sys

from . import run

sys.exit(run())
