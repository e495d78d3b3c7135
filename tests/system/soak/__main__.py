"""`make night`: a new user's night in its long form, and its printed result."""

from __future__ import annotations

import _thread
import argparse
import logging
import random
import sys
import tempfile
import threading
from pathlib import Path

from tests.system.soak.run import night_run

# A rollout that is lost would be waited for without end.
_LONGEST_SECONDS = 3600.0

_PAGE = """\
# A night's work

`make night` does what a new user would leave alone for a night: `synth-pools serve
--allow-processes`, one pool with `"capacity": 4` and a `config.process`, whose containers (made
with synth-containers) the backend starts itself, and 5,000 rollouts by one
`rollouts.run_many(..., journal=...)`, each with `limits.max_attempts: 5`. On the way the busiest
container is killed with `kill -9`, then the backend, twice; it is started again on the same data
directory, and nothing else is done.

In the morning three books must agree: what the client was told, what the backend has stored, and
which rollouts the containers ran (written down by each, before it ran them). Every request has one
outcome, the one that belongs to it; none ran more often than the backend has attempts for it. The
same call with the same journal tells the same outcomes once more, and runs nothing. When the
backend has been stopped, no container is left.

That it sees faults was tried by putting two in: a backend that does not end what its former run
left, told of as processes that are left, and one that does not count further attempts, told of as
rollouts that ran more often than they have attempts.

The last result, as it was printed:

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
    # That nobody answers for a while is the point.
    logging.getLogger("synth_pools").setLevel(logging.ERROR)
    limit = threading.Timer(_LONGEST_SECONDS, _thread.interrupt_main)
    limit.daemon = True
    limit.start()
    with tempfile.TemporaryDirectory(prefix="synth-pools-night-") as folder:
        report = night_run(
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
