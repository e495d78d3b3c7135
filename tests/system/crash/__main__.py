"""`make crash`: the long form of the crash test, and its printed result."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.support.postgres_server import running_server
from tests.system.crash.run import Report, crash_run

_PAGE = """\
# Crash test

`{command}` runs a real client and three real containers in processes of their own against
`synth-pools serve`{where}, and kills the backend with `kill -9` at random moments, in its start
too, while the client creates, repeats, cancels and follows rollouts. A fifth of the kills are of a
container of a fourth pool, which starts two of them itself (`config.process`). Of the others one is
made with synth-containers and forgets a rollout whose caller is gone; one like it has its rollouts
submitted and asked for (`submission_mode: async`), and so keeps them; the third keeps those that it
is waited for, and answers `GET /rollouts/{id}` too. A quarter of the rollouts have
`limits.max_attempts: 3`.

Then three ledgers must tell one story: what the client was told was admitted, which rollouts the
containers ran (written down by them, before they ran), and what the backend has stored. Every
rollout has one outcome; none ran more often than once, or than `max_attempts` and its
`rollout.started` events allow; none that completed has the outcome of another; none that a
container keeps was lost; every event stream, read in pieces over the restarts, counts 1, 2,
3 ... to one terminal event. "Never run" are rollouts whose backend died between writing down that
they start and sending them: of a container that forgets nobody can tell these from those it ran.
A rollout whose started container died fails with `container_unreachable` or, where an answer had
begun, with `container_bad_response`, once `max_attempts` allows no more; one that found nobody
listening there was not sent, and its attempt does not count. At the end no started container is
left.

That it sees faults was tried by putting two in: a backend that answers just before its commit in
place of after it was told of within eight kills, one that starts lost rollouts again although
`max_attempts` does not allow it within four.

The last result, as it was printed:

```
{result}
```
"""


_SHARED = (
    " (three of them, on one PostgreSQL database: each call goes to any of them, some of the kills"
    " to the server of the database, and at no time may more rollouts of a pool run than it has"
    " places)"
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument(
        "--store",
        choices=["sqlite", "postgresql"],
        default="sqlite",
        help="the database; a PostgreSQL server is started, and killed now and then, too",
    )
    parser.add_argument(
        "--backends", type=int, default=3, help="how many share a PostgreSQL database"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the result there")
    arguments = parser.parse_args()
    # That nobody answers for a while is the point.
    logging.getLogger("synth_pools").setLevel(logging.ERROR)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="synth-pools-crash-"))
        place = (Path(folder), arguments.kills, arguments.seed, _tell)
        if arguments.store == "postgresql":
            server = stack.enter_context(running_server())
            store = server.new_database("crash")
            report = crash_run(*place, store, arguments.backends, server)
        else:
            report = crash_run(*place)
    _print(report)
    if arguments.write is not None:
        is_served = arguments.store == "postgresql"
        page = {
            "command": "make crash STORE=postgresql" if is_served else "make crash",
            "where": _SHARED if is_served else "",
            "result": "\n".join(report.lines()),
        }
        text = _PAGE
        for name, value in page.items():
            text = text.replace(f"{{{name}}}", value)
        arguments.write.write_text(text)
    return 1 if report.verdict.wrong else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(report: Report) -> None:
    print("\n".join(report.lines()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
