"""One crash run: a client and containers under load, a backend that is killed, three ledgers."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_pools import ContainerPoolsClient
from synth_pools.backend.storage.contents.store import FOLDER
from synth_pools.backend.storage.data_dir import FILE_NAME
from tests.support.container_process import container_processes, content_of
from tests.support.postgres_server import PostgresServer, fetch
from tests.support.ray_cluster import NODES, RayCluster
from tests.system.crash.ledgers import Verdict, compare, stored_rollouts
from tests.system.crash.load import Load
from tests.system.crash.processes import KEY, Serve
from tests.system.crash.runs import most_at_once, run_at_once
from tests.system.crash.started import StartedContainers
from tests.system.crash.victims import BACKEND, DATABASE, NODE, Victims

_DRAIN_SECONDS = 120.0
# Without the name of the schema that they are in.
_ORPHANS = """
SELECT COUNT(*) FROM {schema}events
    WHERE rollout_seq NOT IN (SELECT seq FROM {schema}rollouts)
"""
_RUNNING = (
    "SELECT pool_id, COUNT(*) FROM synth_pools.rollouts WHERE status = 'running' GROUP BY pool_id"
)
_CONCURRENCY = 6
# Prefixes of the names of half-written contents.
_DRAFT = "draft-"


@dataclass
class Report:
    verdict: Verdict
    kills: Counter[str]
    kills_while_starting: int
    long_away: int
    backends: int
    nodes: int
    ended_with_nodes: int
    processes: dict[str, int]
    most_at_once: dict[str, int]
    repeats: int
    refused: int
    tries_that_met_nobody: int
    artifacts: int
    seconds: float
    seed: int

    def lines(self) -> list[str]:
        verdict = self.verdict
        statuses = ", ".join(
            f"{verdict.statuses[name]} {name}" for name in sorted(verdict.statuses)
        )
        of_backends = f"{self.kills[BACKEND]}, {self.kills_while_starting} in a start"
        if self.backends > 1:
            of_backends += f", {self.long_away} with others taking over"
        figures: list[tuple[str, object]] = [
            ("kills", self.kills.total()),
            ("  of a backend", of_backends),
        ]
        if self.kills[DATABASE]:
            figures.append(("  of the database", self.kills[DATABASE]))
        figures.append(("  of a started process", self.kills["started"]))
        if self.nodes:
            finished = f"{self.kills[NODE]}, with {self.ended_with_nodes} containers"
            figures += [
                ("  of a container on Ray", self.kills["placed"]),
                ("  of a node of Ray", finished),
            ]
        if self.backends > 1:
            figures.append(("backends", self.backends))
        if self.nodes:
            figures.append(("nodes of Ray", self.nodes))
        figures += [
            ("rollouts admitted", verdict.rollouts),
            ("  how they ended", statuses),
            ("  lost without an outcome", sum("lost:" in line for line in verdict.wrong)),
            ("runs in the containers", verdict.runs),
            ("  further attempts", f"{verdict.run_again} (only where max_attempts allows)"),
        ]
        for kind, number in self.processes.items():
            noun = "started processes" if kind == "started" else "containers on Ray"
            most = self.most_at_once[kind]
            figures.append((f"{noun} in all", f"{number}, most at once {most} of {_CONCURRENCY}"))
        figures += [
            ("failed: backend_restarted", verdict.lost_in_restarts),
            ("  of these never run", verdict.never_run_but_failed),
            ("failed with their container", verdict.lost_with_container),
            ("repeated Idempotency-Keys", self.repeats),
            ("events read", verdict.events),
            ("artifacts downloaded", self.artifacts),
            ("calls that met nobody", self.tries_that_met_nobody),
            ("refused while a pool warms", self.refused),
            ("seconds, seed", f"{self.seconds:.0f}, {self.seed}"),
            ("departures", len(verdict.wrong)),
        ]
        lines = [f"{name:<28}{value}" for name, value in figures]
        return lines + [f"  {line}" for line in verdict.wrong[:20]]


def crash_run(
    folder: Path,
    kills: int,
    seed: int,
    tell: Callable[[str], None] = lambda _: None,
    store: str | None = None,
    backends: int = 1,
    server: PostgresServer | None = None,
    cluster: RayCluster | None = None,
) -> Report:
    """Kill backends under load, and compare the ledgers.

    Args:
        folder: An empty folder.
        kills: The number of kills.
        seed: Seed of the load and of the kills.
        tell: Called with each line about the progress.
        store: The database; None for SQLite.
        backends: The number of backends on the database.
        server: The server of the database, if it is killed as well.
        cluster: A Ray cluster for the containers of another pool; its nodes are killed as well.
    """
    start = time.monotonic()
    contents = folder / ("data" if backends == 1 else "contents")
    kinds = ("forgetting", "keeping", "submitting")
    options = ["--allow-processes"]
    ours = [StartedContainers(folder, "started", 2)]
    if cluster is not None:
        options += ["--ray", cluster.address]
        ours.append(StartedContainers(folder, "placed", len(NODES), launcher="ray"))
    serves = [Serve(folder / "data", folder / "backend.log", *options, store=store)]
    if backends > 1:
        contents.mkdir()
        options += ["--artifacts-dir", str(contents)]
        serves = [
            Serve(folder / f"data-{group}", folder / f"backend-{group}.log", *options, store=store)
            for group in range(backends)
        ]
    crowded: list[str] = []
    with contextlib.ExitStack() as running:
        for group in ours:
            running.callback(group.end)
        started = running.enter_context(container_processes(folder, *kinds))
        containers = dict(zip(kinds, started, strict=True))
        for serve in serves:
            running.callback(serve.end)
            serve.start()
        clients = [
            running.enter_context(
                # The load itself handles a missing backend.
                ContainerPoolsClient(api_key=KEY, backend_base=group.url, timeout=20, max_retries=0)
            )
            for group in serves
        ]
        client = clients[0]
        definitions: dict[str, dict[str, Any]] = {
            kind: {
                "container_url": container.url,
                "config": {"submission_mode": "async" if kind == "submitting" else "sync"},
            }
            for kind, container in containers.items()
        }
        definitions |= {group.kind: group.definition for group in ours}
        for kind, fields in definitions.items():
            pool: dict[str, Any] = {"pool_id": kind, "name": kind, "concurrency": _CONCURRENCY}
            client.create_pool({**pool, **fields})
        for group in ours:
            client.wait_pool_active(group.kind, timeout=_DRAIN_SECONDS)
        load = Load(clients, list(definitions), seed, {"placed"})
        running.callback(load.close)

        def wait_for_pool(kind: str) -> None:
            load.in_the_end(lambda: client.wait_pool_active(kind, timeout=_DRAIN_SECONDS))

        victims = Victims(serves, ours, server, cluster, wait_for_pool, seed)
        while (killed := victims.kills.total()) < kills:
            victims.kill()
            if store is not None:
                rows = fetch(store, _RUNNING)
                crowded += [
                    f"{pool}: {number} run" for pool, number in rows if number > _CONCURRENCY
                ]
            load.check()
            tell(f"{killed + 1} of {kills} kills, {len(load.asked)} rollouts admitted")
        load.finish(_DRAIN_SECONDS)
        stored = {pool_id: stored_rollouts(client, pool_id) for pool_id in definitions}
        ran = {kind: Counter(container.ran) for kind, container in containers.items()}
        ran |= {group.kind: group.ran for group in ours}
        of_ours = {group.kind for group in ours}
        verdict = compare(load.asked, stored, ran, {"keeping", "submitting"}, of_ours)
        most = {group.kind: _check_times(verdict, group, stored[group.kind]) for group in ours}
        _check_again(verdict, client, load)
        artifacts = _check_artifacts(verdict, client, load, of_ours)
        statuses = [serve.stop() for serve in serves]
        verdict.expect(not any(statuses), f"the backends' last exit statuses are {statuses}")
        for group in ours:
            remaining = group.left()
            verdict.expect(not remaining, f"containers that are left: {remaining}")
    for file in folder.glob("backend*.log"):
        log = file.read_text()
        place = log.find("Traceback")
        verdict.expect(place < 0, f"{file.name}: {log[max(0, place - 500) : place + 2500]}")
    verdict.wrong += crowded
    if store is None:
        _check_file(verdict, contents / FILE_NAME)
    _check_contents(verdict, contents, store)
    return Report(
        verdict,
        victims.kills,
        victims.kills_while_starting,
        victims.long_away,
        backends,
        0 if cluster is None else len(NODES),
        victims.ended_with_nodes,
        {group.kind: group.processes for group in ours},
        most,
        load.repeats,
        load.refused,
        load.tries_that_met_nobody,
        artifacts,
        time.monotonic() - start,
        seed,
    )


def _check_times(
    verdict: Verdict, containers: StartedContainers, stored: Mapping[str, Mapping[str, Any]]
) -> int:
    """Check that no rollout ran in two containers at once; return the most that ran at once."""
    # Its place is free at once, whatever its container does.
    cancelled = {name for name, rollout in stored.items() if rollout["status"] == "cancelled"}
    runs = containers.runs
    verdict.wrong += run_at_once(runs, cancelled)
    most = most_at_once(runs, cancelled)
    words = f"{containers.kind}: {most} ran in containers at once"
    verdict.expect(most <= _CONCURRENCY, words)
    return most


def _check_again(verdict: Verdict, client: ContainerPoolsClient, load: Load) -> None:
    """Check that a later reader of a stream sees the live events."""
    for item in random.Random(load.repeats).sample(load.asked, min(50, len(load.asked))):
        with client.stream_rollout_events(item.pool_id, item.rollout_id) as stream:
            events = list(stream)
        verdict.expect(events == item.events, f"{item.rollout_id}: its events have changed")


def _check_artifacts(
    verdict: Verdict, client: ContainerPoolsClient, load: Load, without: Collection[str]
) -> int:
    """Check that completed rollouts have their artifacts, but of some pools; return how many."""
    looked = 0
    for rollout in random.Random(load.repeats).sample(load.asked, min(200, len(load.asked))):
        items = client.get_rollout_artifacts(rollout.pool_id, rollout.rollout_id)["items"]
        if rollout.events and rollout.events[-1]["event"] == "rollout.completed":
            expected = int(rollout.pool_id not in without)
            verdict.expect(
                len(items) == expected, f"{rollout.rollout_id} has {len(items)} artifacts"
            )
        for item in items:
            # The client checks it against its SHA-256.
            content = client.agent_rollouts.artifact(rollout.rollout_id, item["path"])
            arguments = content_of(rollout.request["seed"]).encode()
            verdict.expect(
                content == arguments, f"{rollout.rollout_id} has the artifact of another one"
            )
            looked += 1
    return looked


def _check_contents(verdict: Verdict, data_dir: Path, store: str | None) -> None:
    """Check that every content of a rollout is complete, and none is half written."""
    if store is not None:
        names = {name for (name,) in fetch(store, "SELECT sha256 FROM synth_pools.artifacts")}
        orphans = fetch(store, _ORPHANS.replace("{schema}", "synth_pools."))[0][0]
        verdict.expect(orphans == 0, f"{orphans} events belong to no rollout")
    else:
        with contextlib.closing(sqlite3.connect(data_dir / FILE_NAME)) as database:
            names = {name for (name,) in database.execute("SELECT sha256 FROM artifacts")}
    files = {path.name: path for path in (data_dir / FOLDER).rglob("*") if path.is_file()}
    verdict.expect(names <= set(files), f"without a file: {names - set(files)}")
    for name, path in files.items():
        if store is not None and name.startswith(_DRAFT):
            # Other backends leave the file of a killed one for an hour: it may be in use.
            continue
        result = hashlib.sha256(path.read_bytes()).hexdigest()
        verdict.expect(result == name, f"the content {name} has the SHA-256 {result}")


def _check_file(verdict: Verdict, file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database:
        [answer] = database.execute("PRAGMA integrity_check").fetchone()
        verdict.expect(answer == "ok", f"the database: {answer}")
        orphans = database.execute(_ORPHANS.replace("{schema}", "")).fetchone()[0]
        verdict.expect(orphans == 0, f"{orphans} events belong to no rollout")
