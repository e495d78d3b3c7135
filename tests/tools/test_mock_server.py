"""Our client against a mock server made from openapi.yaml alone."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator

import pytest

from synth_pools import ContainerPoolsClient
from synth_pools.errors import NotFoundError
from synth_pools.spec import spec_path
from tests.support.document import SPEC
from tests.tools.toolbox import LIMIT, node_command


@pytest.fixture(scope="module")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a mock server."""
    command = node_command("@stoplight/prism-cli/dist/index.js")
    process = subprocess.Popen(
        [*command, "mock", "--port", "0", "--host", "127.0.0.1", str(spec_path())],
        cwd=tmp_path_factory.mktemp("prism"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(LIMIT, process.kill)
    watchdog.start()
    assert process.stdout is not None
    try:
        printed: list[str] = []
        for line in process.stdout:
            printed.append(line)
            listening = re.search(r"Prism is listening on (http://\S+?:\d+)", line)
            if listening is not None:
                break
        else:
            pytest.fail("".join(printed))
        # Later output needs a reader.
        reader = threading.Thread(target=process.stdout.read, daemon=True)
        reader.start()
        yield listening[1]
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()


@pytest.fixture
def client(prism: str) -> Iterator[ContainerPoolsClient]:
    with ContainerPoolsClient(api_key="any", backend_base=prism, max_retries=0) as client:
        yield client


def test_pools_and_rollouts_are_what_the_examples_say(client: ContainerPoolsClient) -> None:
    pool = client.create_pool({"name": "mocked"})
    assert pool["id"] == pool["pool_id"] == "docs-example-pool"
    assert client.list_pools()["items"][0]["id"] == "docs-example-pool"
    rollout = client.create_rollout("docs-example-pool", {"seed": 7})
    assert rollout["id"].startswith("rollout_")
    assert client.get_rollout("docs-example-pool", rollout["id"])["status"] == "completed"
    typed = client.api.pools.get_pool("docs-example-pool")
    assert typed.name == "docs-example-pool"


def test_an_error_is_the_error_of_its_status(client: ContainerPoolsClient) -> None:
    mocked = client.with_options(headers={"Prefer": "code=404"})
    with pytest.raises(NotFoundError) as caught:
        mocked.get_pool("unknown")
    assert caught.value.status_code == 404


def test_events_are_streamed(client: ContainerPoolsClient) -> None:
    name = "event_stream"
    example = SPEC["components"]["examples"][name]["value"]
    expected = [json.loads(data) for data in re.findall(r"^data: (.*)$", example, re.MULTILINE)]
    mocked = client.with_options(headers={"Prefer": f"example={name}"})
    events = list(mocked.rollouts.events("docs-example-pool", "rollout_1"))
    assert len(events) > 1
    assert [(event["sequence"], event["event"], event["data"]) for event in events] == [
        (event["sequence"], event["event"], event["data"]) for event in expected
    ]
