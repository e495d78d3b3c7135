"""Whatever is done to a pool of processes, in whatever order: nothing is lost or left."""

from __future__ import annotations

import contextlib
import random
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from synth_pools.backend.storage.data_dir import FILE_NAME
from tests.support.backend_server import Server, eventually, serve
from tests.support.process_pools import carriers, containers, process, token_of, until

_STEPS = 60


class Soak:
    """Pool with its admitted rollouts, and random operations on it."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.chance = random.Random(seed)
        self.admitted: list[str] = []
        self.done: list[str] = []
        config = {"process": process()}
        self.pool_id = server.pool(capacity=2, concurrency=4, config=config)
        self.path = f"/v1/pools/{self.pool_id}"

    def step(self) -> None:
        acts = [self.admit] * 6 + [self.kill, self.scale, self.change, self.pause, self.resume]
        act = self.chance.choice(acts)
        self.done.append(act.__name__)
        act()
        time.sleep(self.chance.choice([0, 0, 0.05, 0.3]))

    def admit(self) -> None:
        request = {"params": {"seconds": self.chance.choice([0, 0.05, 0.3])}}
        request["limits"] = {"max_attempts": 10}
        answer = self.server.send("POST", f"{self.path}/rollouts", json=request)
        if answer.status_code == 202:
            self.admitted.append(answer.json()["id"])
        else:
            assert answer.json()["error"]["code"] == "pool_not_active", answer.text

    def kill(self) -> None:
        pids = [
            container["pid"]
            for container in containers(self.server, self.pool_id)
            if container["pid"]
        ]
        if pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(self.chance.choice(pids)).kill()

    def scale(self) -> None:
        self._patch({"capacity": self.chance.randint(1, 4)})

    def change(self) -> None:
        self._patch({"config": {"process": process(env={"N": self.chance.randrange(3)})}})

    def _patch(self, patch: dict[str, Any]) -> None:
        self.server.call("PATCH", self.path, json=patch)

    def pause(self) -> None:
        assert self.server.post(f"{self.path}/pause")["status"] == "paused"

    def resume(self) -> None:
        assert self.server.post(f"{self.path}/resume")["status"] in ("warming", "active")


@pytest.mark.system
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_and_nothing_is_left(tmp_path: Path, seed: int) -> None:
    with contextlib.ExitStack() as running:
        server = running.enter_context(serve(tmp_path, allow_processes=True))
        soak = Soak(server, seed)
        until(server, soak.pool_id, "active")
        for number in range(_STEPS):
            soak.step()
            if number == _STEPS // 2:
                running.close()
                server = running.enter_context(serve(tmp_path, allow_processes=True))
                soak.server = server
        soak.resume()
        until(server, soak.pool_id, "active")
        final = [server.until(rollout_id) for rollout_id in soak.admitted]
        assert {rollout["status"] for rollout in final} == {"completed"}, soak.done
        capacity = server.get(soak.path)["capacity"]

        def as_many_as_wanted() -> bool:
            members = containers(server, soak.pool_id)
            return [container["health"] for container in members] == ["healthy"] * capacity

        eventually(as_many_as_wanted)
        # Those before them may take a moment to end.
        eventually(lambda: len(carriers(token_of(tmp_path / FILE_NAME))) == capacity)
        server.call("DELETE", soak.path)
        eventually(lambda: not carriers(token_of(tmp_path / FILE_NAME)))
    assert carriers(token_of(tmp_path / FILE_NAME)) == []
