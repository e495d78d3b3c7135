"""Command line: serve the second backend until it is interrupted.

python -m tests.contract.second_backend --port 8090 --key ... --break events.resume
"""

from __future__ import annotations

import argparse
import signal
import sys

from tests.contract.second_backend.rules import RULES
from tests.contract.second_backend.serve import served


def main() -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="second-backend", description=__doc__)
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--key", default="second-backend-key", help="the API key")
    parser.add_argument(
        "--break", dest="broken", nargs="*", default=[], choices=sorted(RULES), metavar="RULE"
    )
    arguments = parser.parse_args()
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with served({arguments.key: "we"}, tuple(arguments.broken), arguments.port) as url:
        print(f"{url}, with the key {arguments.key}", flush=True)
        signal.sigwait(signals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
