"""Run the soak test in its long form and print the result: `make soak`."""

from __future__ import annotations

import _thread
import argparse
import logging
import random
import sys
import tempfile
import threading
from pathlib import Path

from tests.system.soak.run import soak_run

# A rollout that is lost would be waited for without end.
_LONGEST_SECONDS = 3600.0

_PAGE = """\
# Soak test

`make soak` runs 5,000 rollouts on containers that the backend starts itself: `synth-pools serve
--allow-processes`, one pool with `"capacity": 4` and a `config.process` (made with
synth-containers), one `rollouts.run_many(..., journal=...)`, each rollout with
`limits.max_attempts: 5`. On the way it kills the busiest container with `kill -9`, then the
backend, twice, and starts it again on the same data directory. It does nothing else.

At the end three records must agree: what the client was told, what the backend has stored, and
which rollouts the containers ran (each writes a rollout down before it runs it). Every request has
one outcome, its own. No rollout ran more often than the backend has attempts for it. The same call
with the same journal returns the same outcomes and runs nothing. After the backend has stopped, no
container is left.

Two planted faults were seen. A backend that does not end the processes of its former run: reported
as processes that are left. A backend that does not count further attempts: reported as rollouts
that ran more often than they have attempts.

The last result, as printed:

```
{result}
```
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.soak", description=__doc__)
    parser.add_argument("--rollouts", type=int, default=5000)
    parser.add_argument("--containers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=2, help="of the backend")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the result there")
    arguments = parser.parse_args()
    # Unanswered requests are the point.
    logging.getLogger("synth_pools").setLevel(logging.ERROR)
    limit = threading.Timer(_LONGEST_SECONDS, _thread.interrupt_main)
    limit.daemon = True
    limit.start()
    with tempfile.TemporaryDirectory(prefix="synth-pools-soak-") as folder:
        report = soak_run(
            Path(folder),
            rollouts=arguments.rollouts,
            containers=arguments.containers,
            backend_kills=arguments.kills,
            seed=arguments.seed,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
        )
    print("\n".join(report.lines()), flush=True)
    if arguments.write is not None:
        arguments.write.write_text(_PAGE.replace("{result}", "\n".join(report.lines())))
    return 1 if report.verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
