"""Parts of the processes of pools, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from synth_pools.backend.containers.balancer import Balancer
from synth_pools.backend.domain import clock
from synth_pools.backend.domain.definitions import starts_containers
from synth_pools.backend.processes import child as child_module
from synth_pools.backend.processes import discovery
from synth_pools.backend.processes.child import Child
from synth_pools.backend.processes.discovery import (
    ProcessFinder,
    ProcessIdentity,
    ProcessTable,
    have_same_token,
    is_alive,
    read_table,
    select,
    tag_of,
    tagger,
)
from synth_pools.backend.processes.output import OutputLogs, ProcessOutput
from synth_pools.backend.processes.ports import Ports
from synth_pools.backend.processes.replica import Instance, ReplicaContext
from synth_pools.backend.processes.spec import MARKER, ProcessSpec, environment
from synth_pools.backend.processes.termination import end_children
from synth_pools.backend.resources.background_tasks import BackgroundTasks
from tests.backend.containers.test_balancer_state import NoChecks


def test_a_plan_fills_in_its_port_and_nothing_else() -> None:
    config = {
        "container_key_env": "CONTAINER_API_KEY",
        "process": {
            "argv": ["serve", "--at=127.0.0.1:{port}", "{port}{port}", "{other} {} %d"],
            "env": {"URL": "http://localhost:{port}", "N": 1, "FLAG": True, "NONE": None},
        },
    }
    plan = ProcessSpec.of({"config": config})
    assert plan is not None
    assert plan.arguments(80) == ["serve", "--at=127.0.0.1:80", "8080", "{other} {} %d"]
    assert plan.variables(80) == {"URL": "http://localhost:80", "N": "1", "FLAG": "true"}
    assert (plan.cwd, plan.start_seconds, plan.key_env) == (None, 30.0, "CONTAINER_API_KEY")
    assert plan == ProcessSpec.of({"config": config})


# Older databases may hold anything under this name.
NO_PROCESSES: list[object] = [
    None,
    "text",
    {},
    {"x": 1},
    {"argv": "text"},
    {"argv": []},
    {"argv": ["x", 5]},
]
NO_PROCESSES += [{"argv": ["x"], "env": [1]}]


@pytest.mark.parametrize(
    "definition",
    [{}, {"config": {}}, *({"config": {"process": process}} for process in NO_PROCESSES)],
)
def test_a_pool_without_one_has_no_plan(definition: dict[str, object]) -> None:
    assert ProcessSpec.of(definition) is None
    assert not starts_containers(definition)


def test_the_environment_holds_what_is_needed_and_nothing_of_ours() -> None:
    env = {"PATH": "/mine", "PORT": "1", MARKER: "mine", "A": "{port}"}
    plan = ProcessSpec.of({"config": {"process": {"argv": ["x"], "env": env}}})
    assert plan is not None
    expected = {
        "PATH": "/bin",
        "HOME": "/root",
        "LC_ALL": "C",
        "PYTHONPATH": "x",
        "SYNTH_API_KEY": "secret",
        "LD_PRELOAD": "x",
    }
    assert environment(plan, 80, "m", expected, None) == {
        "PATH": "/mine",
        "HOME": "/root",
        "LC_ALL": "C",
        "A": "80",
        "PORT": "80",
        MARKER: "m",
    }
    assert environment(plan, 80, "m", expected, "k")["ENVIRONMENT_API_KEY"] == "k"


def test_ports_are_never_given_twice_at_once() -> None:
    both = Ports(), Ports()
    acquired = [(ports, ports.acquire()) for _ in range(100) for ports in both]
    if sys.platform == "linux":
        assert len({port for _, port in acquired}) == 200
        low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
        # Nobody is given one of these who does not ask for it.
        assert high >= 65_000 or not any(low <= port <= high for _, port in acquired)
    for ports, port in acquired:
        ports.release(port)
        # Another backend may have it now.
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as lock:
            if sys.platform == "linux":
                lock.bind(f"\0synth-pools-port-{port}")


def test_a_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setattr(clock, "drawn", lambda _, most: [port] * most)
        ports = Ports()
        acquired = ports.acquire()
        assert acquired != port
        ports.release(acquired)


def find(
    is_ours: Callable[[str], bool], expected: Sequence[ProcessIdentity] = ()
) -> list[psutil.Process]:
    return select(read_table(with_environments=True), is_ours, identities=expected)


async def spawn(code: str) -> Child:
    # Other tests run beside this one, and end what carries theirs.
    marker = f"{uuid.uuid4().hex}.of-the-tests"
    env = {"PATH": os.environ["PATH"], MARKER: marker}
    return await Child.spawn([sys.executable, "-c", code], env, None, marker, an_output())


def an_output() -> ProcessOutput:
    return OutputLogs().open("a pool", 0)


async def until_it_writes(child: Child) -> None:
    async with asyncio.timeout(60):
        while not child.output.last_lines():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_a_child_tells_how_it_ended_and_what_it_wrote() -> None:
    child = await spawn("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert await child.exited(60)
    await child.read_rest()
    assert (child.exit_code, sorted(child.output.last_lines())) == (3, ["err", "out"])
    # Its number may be another's by now.
    child.signal(signal.SIGKILL)
    await end_children([child])


async def test_one_that_blocks_its_output_pipe_goes_on() -> None:
    code = "import sys\nfor _ in range(300): sys.stdout.write('x' * 100_000)\nsys.exit(9)"
    child = await spawn(code)
    assert await child.exited(60)
    assert child.exit_code == 9
    await end_children([child])


FORKS = """
import os, sys, time
for number in range(20):
    if os.fork() == 0:
        if number % 2:
            os.setsid()
        time.sleep(600)
print("ready", flush=True)
time.sleep(600)
"""


async def test_all_that_it_started_ends_with_it() -> None:
    child = await spawn(FORKS)
    await until_it_writes(child)
    actual = find(lambda marker: marker == child.identity.marker)
    assert len(actual) == 21
    await end_children([child])
    assert find(lambda marker: marker == child.identity.marker) == []
    assert child.exit_code == -signal.SIGTERM


CLEAN = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN);"
         " print('ready', flush=True); time.sleep(600)"]
children = [
    subprocess.Popen(sleep, env={"A": "b"}, start_new_session=is_elsewhere, stdout=subprocess.PIPE)
    for is_elsewhere in (False, True)
]
for child in children:
    child.stdout.readline()
print(*[child.pid for child in children], flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("leader_dies", [False, True])
async def test_what_it_started_without_its_environment_ends_too(leader_dies: bool) -> None:
    child = await spawn(CLEAN)
    await until_it_writes(child)
    nearby, far = (psutil.Process(int(pid)) for pid in child.output.last_lines()[0].split())
    assert find(lambda _: False, [child.identity])
    if leader_dies:
        # Neither its session, its environment nor its parent tells any more who started it.
        psutil.Process(child.pid).kill()
        await child.exited(60)
    await end_children([child], 0.2)
    assert not is_alive(nearby)
    assert not is_alive(far)


async def test_the_next_run_finds_what_went_elsewhere_without_its_environment() -> None:
    child = await spawn(CLEAN)
    await until_it_writes(child)
    far = psutil.Process(int(child.output.last_lines()[0].split()[1]))
    psutil.Process(child.pid).kill()
    await child.exited(60)
    token = child.identity.marker.partition(".")[0]
    for searched, is_found in ((token, True), ("another", False)):
        is_our_tag = partial(have_same_token, tag_of(searched))
        finder = ProcessFinder(ProcessTable(), lambda _: False, is_our_tag, list)
        assert (far in await finder.find()) is is_found
        assert (far in finder.find_now()) is is_found
    await end_children([child], 0.2)
    assert not is_alive(far)


@pytest.mark.parametrize("can_tag", [True, False])
async def test_the_event_loop_reads_no_process_and_those_that_end_together_share_a_look(
    can_tag: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tagger("a.b") is not None
    if not can_tag:
        monkeypatch.setattr(child_module, "tagger", lambda _: None)
    children = [await spawn("import time; print(1, flush=True); time.sleep(600)") for _ in range(8)]
    for child in children:
        await until_it_writes(child)
        psutil.Process(child.pid).kill()
        await child.exited(60)
    threads: list[int] = []
    tables: list[int] = []
    read, environ = read_table, psutil.Process.environ

    def reading(**options: Any) -> Any:
        tables.append(threading.get_ident())
        return read(**options)

    def looking(process: psutil.Process) -> dict[str, str]:
        threads.append(threading.get_ident())
        return environ(process)

    monkeypatch.setattr(discovery, "read_table", reading)
    monkeypatch.setattr(psutil.Process, "environ", looking)
    table = ProcessTable()
    await asyncio.gather(*[end_children([child], table=table) for child in children])
    # Each needs the table before the signal, and before it reports that all have ended.
    assert 1 <= len(tables) < 2 * len(children)
    assert bool(threads) is not can_tag
    assert threading.get_ident() not in {*threads, *tables}


async def test_a_cancelled_end_kills_at_once() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); "
    child = await spawn(code + "time.sleep(600)")
    await until_it_writes(child)
    ending = asyncio.create_task(end_children([child]))
    await asyncio.sleep(0.3)
    assert not child.has_exited
    ending.cancel()
    assert await child.exited(60)
    with pytest.raises(asyncio.CancelledError):
        await ending
    child.close()


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        await Child.spawn(["/nowhere/at/all"], {}, None, "m", an_output())
    with pytest.raises(FileNotFoundError):
        await Child.spawn([sys.executable], {}, "/nowhere/at/all", "m", an_output())
    with pytest.raises(ValueError, match="environment"):
        await Child.spawn([sys.executable], {"A=B": "x"}, None, "m", an_output())


@pytest.mark.parametrize("readable", [True, False])
def test_kinship_is_never_told_by_the_number_alone(
    readable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    )
    try:
        started = psutil.Process(process.pid).create_time()
        # Its environment is there a moment after the program has been started.
        give_up = time.monotonic() + 60
        while not psutil.Process(process.pid).environ():
            assert time.monotonic() < give_up
            time.sleep(0.01)
        if not readable:
            monkeypatch.setattr(psutil.Process, "environ", _unreadable)

        def are_ours(expected: ProcessIdentity) -> bool:
            return process.pid in [
                identified.pid for identified in find(lambda _: False, [expected])
            ]

        # Its environment says that it is not ours, which counts; else when it was started does.
        assert are_ours(ProcessIdentity(process.pid, started, "m")) is not readable
        assert not are_ours(ProcessIdentity(process.pid, started - 60, "m"))
        assert not are_ours(ProcessIdentity(process.pid + 1, started, "m"))
    finally:
        process.kill()
        process.wait(60)


def _unreadable(process: psutil.Process) -> dict[str, str]:
    raise psutil.AccessDenied(process.pid)


def test_we_ourselves_are_never_found() -> None:
    assert os.getpid() not in [process.pid for process in find(lambda _: True)]
    assert os.getppid() not in [process.pid for process in find(lambda _: True)]


def test_one_that_has_the_port_of_another_stays_when_that_is_forgotten() -> None:
    balancer = Balancer(NoChecks(), lambda: None)  # type: ignore[arg-type]
    context = ReplicaContext(None, balancer, None, Ports(), OutputLogs(), BackgroundTasks())  # type: ignore[arg-type]
    former, later = (Instance("pool", 4711, None) for _ in range(2))  # type: ignore[arg-type]
    former.member = balancer.add_process("pool", former.url)
    context.remove(former)
    assert balancer.members("pool") == []
    later.member = balancer.add_process("pool", later.url)
    context.remove(former)
    assert balancer.members("pool") == [later.member]
    context.remove(later)
    assert balancer.members("pool") == []
