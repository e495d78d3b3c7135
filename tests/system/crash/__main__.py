"""`make crash`: the long form of the crash test, and its printed result."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import random
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.support.postgres_server import running_server
from tests.support.ray_cluster import RayCluster
from tests.system.crash.run import Report, crash_run

_PAGE = """\
# Crash test

{victims} Meanwhile a real client creates, repeats, cancels and follows rollouts.

Three pools share containers that are no backend's, each a process of its own: one is made with
synth-containers and forgets a rollout whose caller is gone; one like it has its rollouts submitted
and asked for (`submission_mode: async`), and so keeps them; the third keeps those that it is waited
for, and answers `GET /rollouts/{id}` too. {started} A quarter of the rollouts have
`limits.max_attempts: 3`.

Then three ledgers must tell one story: what the client was told was admitted, which rollouts the
containers ran (written down by them, before they ran, in files that outlive them), and what the
backend has stored. Every rollout has one outcome; none ran more often than once, or than
`max_attempts` and its `rollout.started` events allow; none that completed has the outcome of
another; none that a container keeps was lost; every event stream, read in pieces over the restarts,
counts 1, 2, 3 ... to one terminal event. "Never run" are rollouts whose backend died between
writing down that they start and sending them: of a container that forgets nobody can tell these
from those it ran. A rollout whose started container died fails with `container_unreachable` or,
where an answer had begun, with `container_bad_response`, once `max_attempts` allows no more; one
that found nobody listening there was not sent, and its attempt does not count.

Started containers also write down when each run began and ended, and every 0.02 seconds that they
live. No rollout, but for cancelled ones, began again before
its former run was over, and never did more of a pool run in its containers than it has places. At
the end no started container is left.

That it sees faults was tried by putting two in: a backend that answers just before its commit in
place of after it was told of within eight kills, one that starts lost rollouts again although
`max_attempts` does not allow it within four.

The last result, as it was printed:

```
{result}
```
"""

_ALONE = """\
`make crash` kills `synth-pools serve` with `kill -9` at random moments, in its start too, and a
fifth of the times a container that it has started."""
_SHARED = """\
`make crash STORE=postgresql` runs three `synth-pools serve` on one PostgreSQL database, each call
of the client goes to any of them, and kills with `kill -9`, every few seconds, whichever comes: one
of the three, in its start too, or so that it is away until the others have taken over what it ran;
the server of the database; {on_ray}. After each kill no more rollouts of a pool may be running in
the database than it has places."""
_NODES = """\
a process that a backend has started; a container on a node of a Ray cluster, the container's own
process; a node of that cluster, not its head: the cluster does without it for a while, then there
is a new one"""
_PROCESSES = "A fourth starts two processes itself (`config.process`)."
_ON_NODES = """\
A fourth has two processes started by the backend that it belongs to (`config.process`), a fifth
three containers on the three nodes of the cluster (`launcher: ray`), where some rollouts last
longer than the lease of a backend. When their backend dies, so do these containers, and another
backend has others started."""
_WIDTH = 100
_WITHOUT_RAY = "Ray is not installed here: no containers on its nodes, and none of these is killed."


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
    # Unanswered requests are the point.
    logging.getLogger("synth_pools").setLevel(logging.ERROR)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="synth-pools-crash-"))
        place = (Path(folder), arguments.kills, arguments.seed, _tell)
        if arguments.store == "postgresql":
            server = stack.enter_context(running_server())
            store = server.new_database("crash")
            cluster = None
            if importlib.util.find_spec("ray") is not None:
                _tell("A Ray cluster of three nodes is started ...")
                cluster = stack.enter_context(RayCluster())
            else:
                _tell(_WITHOUT_RAY)
            report = crash_run(*place, store, arguments.backends, server, cluster)
        else:
            report = crash_run(*place)
    _print(report)
    if arguments.write is not None:
        text = _page(report.lines(), arguments.store == "postgresql", report.nodes > 0)
        arguments.write.write_text(text)
    return 1 if report.verdict.wrong else 0


def _page(lines: Sequence[str], is_shared: bool, has_nodes: bool) -> str:
    on_ray = _NODES if has_nodes else "a process that a backend has started"
    parts = {
        "victims": _SHARED.replace("{on_ray}", on_ray) if is_shared else _ALONE,
        "started": _ON_NODES if has_nodes else _PROCESSES,
    }
    text, end, result = _PAGE.partition("```")
    for name, value in parts.items():
        text = text.replace(f"{{{name}}}", value)
    text = "\n\n".join(
        textwrap.fill(item, _WIDTH, break_on_hyphens=False) for item in text.split("\n\n")
    )
    return f"{text}{end}{result}".replace("{result}", "\n".join(lines))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(report: Report) -> None:
    print("\n".join(report.lines()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
