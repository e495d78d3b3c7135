"""`python -m synth_pools`, for use when the console script is not on the path."""

from __future__ import annotations

import sys

from synth_pools.cli import run

if __name__ == "__main__":
    sys.exit(run())
