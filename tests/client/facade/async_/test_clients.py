"""Making, sharing and closing clients."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import threading
import uuid
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest import mock

import httpx
import pytest

from synth_pools import (
    APITimeoutError,
    AsyncContainerPoolsClient,
    AsyncPoolsClient,
    AsyncSynthClient,
    ClientClosedError,
    ConfigurationError,
)
from tests.support.leaks import KEY
from tests.support.recording import Recorded, RecordingServer, Reply
from tests.support.surface import EVERY, P, R
from tests.support.variants import OTHER_VARIANT


def test_the_newer_name_is_the_same_class() -> None:
    assert AsyncPoolsClient is AsyncContainerPoolsClient


def test_both_names_of_settings_are_properties(server: RecordingServer) -> None:
    client = AsyncContainerPoolsClient(api_key=KEY, backend_base=f"{server.url}/v1", timeout=7)
    assert client.backend_base == client.base_url == server.url
    assert client.timeout_seconds == client.timeout == 7.0


async def test_a_time_limit_may_be_that_of_httpx_or_none(
    server: RecordingServer, supplied: ModuleType
) -> None:
    release = threading.Event()
    limits = supplied.Timeout(None, read=60)
    for timeout in (None, supplied.Timeout(None), limits, supplied.Timeout(90, connect=30)):
        async with AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, timeout=timeout, max_retries=0
        ) as client:
            assert client.timeout == timeout
            assert await client.get_pool(P) == {}
            assert await client.with_options(timeout=70).get_pool(P) == {}
            assert client.with_options(timeout=None).timeout is None
            assert AsyncContainerPoolsClient(client).timeout == timeout
    server.reply_with(lambda _: Reply(204 if release.wait(60) else 500))
    limits = supplied.Timeout(None, read=0.2)
    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url=server.url, timeout=limits, max_retries=0
    ) as client:
        with pytest.raises(httpx.ReadTimeout, match=r"sent nothing for 0\.2 s"):
            await client.get_pool(P)
    release.set()


async def test_an_id_may_be_a_uuid(server: RecordingServer) -> None:
    pool_id = uuid.UUID(int=7)
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
        await client.get_pool(pool_id)
        assert server.last.path == f"/v1/pools/{pool_id}"
        await client.rollouts.create(pool_id, {"seed": 1})
        assert server.last.path == f"/v1/pools/{pool_id}/rollouts"
        await client.operations.call("get_pool", {"pool_id": pool_id})
        assert server.last.path == f"/v1/pools/{pool_id}"


@pytest.mark.parametrize(
    ("name", "replacement"),
    [
        ("_api_key", "api_key="),
        ("_backend_base", "base_url="),
        ("_client", "http_client="),
        ("_headers", "headers="),
        ("_request", "on_request=.*client.operations"),
        ("_stream", "client.operations"),
        ("_timeout", "timeout="),
        ("_timeout_seconds", "timeout="),
        ("api_key", "api_key="),
        ("cast_to", "client.api"),
    ],
)
def test_what_only_published_clients_use_is_refused(name: str, replacement: str) -> None:
    client = AsyncContainerPoolsClient(api_key=KEY)
    with pytest.raises(ConfigurationError, match=f"Client.{name} .*{replacement}"):
        setattr(client, name, None)
    assert not hasattr(client, name)
    mixin = type("Mixin", (), {name: None})
    for bases, members in (
        ((AsyncContainerPoolsClient,), {name: None}),
        ((mixin, AsyncContainerPoolsClient), {}),
    ):
        with pytest.raises(ConfigurationError, match=f"Mine.{name} .*{replacement}"):
            type("Mine", bases, members)


def test_making_a_client_opens_nothing(server: RecordingServer) -> None:
    AsyncContainerPoolsClient(api_key=KEY, base_url=server.url)
    AsyncSynthClient(api_key=KEY, base_url=server.url)
    assert server.connections == 0


async def test_the_front_door(server: RecordingServer) -> None:
    async with AsyncSynthClient(api_key=KEY, base_url=f"{server.url}/api", timeout=7) as client:
        assert isinstance(client.pools, AsyncContainerPoolsClient)
        assert (client.base_url, client.timeout) == (server.url, 7.0)
        assert client.pools.timeout == 7.0
        await client.pools.get_pool(P)
    assert client.pools.is_closed
    assert "Bearer" in server.last.headers["authorization"]


async def test_the_configuration_of_either_variant_is_taken_over(server: RecordingServer) -> None:
    for giver in (OTHER_VARIANT[AsyncContainerPoolsClient], AsyncContainerPoolsClient):
        source = giver(api_key=KEY, base_url=server.url, timeout=7)
        async with AsyncContainerPoolsClient(source) as client:
            assert client.timeout == 7.0
            await client.rollouts.get(P, R)
        assert server.last.headers["authorization"] == f"Bearer {KEY}"
        assert not source.is_closed


@pytest.mark.parametrize("thing", [object(), {}, "key", 7, httpx])
def test_a_configuration_is_taken_over_from_a_client_only(thing: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be another pools client"):
        AsyncContainerPoolsClient(thing)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("rollouts", "create"),
        ("agent_rollouts", "create"),
        ("tasks", "create"),
        ("metrics", "get"),
        ("operations", "call"),
    ],
)
async def test_a_test_can_replace_methods_of_a_namespace(
    server: RecordingServer, name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url)
    namespace = getattr(client, name)
    assert getattr(client, name) is namespace
    with mock.patch.object(namespace, method, mock.Mock(return_value=1)):
        assert getattr(getattr(client, name), method)(P) == 1
    monkeypatch.setattr(namespace, method, lambda *_: 2)
    assert getattr(getattr(client, name), method)(P) == 2
    view = client.with_options(timeout=3)
    assert getattr(getattr(view, name), method)(P) == 2
    assert getattr(view, name) is not namespace
    monkeypatch.undo()
    setattr(namespace, method, lambda *_: 3)
    assert getattr(getattr(client, name), method)(P) == 3
    assert server.connections == 0


@pytest.mark.parametrize(
    "name", ["rollouts", "agent_rollouts", "tasks", "metrics", "operations", "api"]
)
async def test_a_test_can_replace_a_namespace(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = AsyncContainerPoolsClient(api_key=KEY)
    namespace = getattr(client, name)
    with mock.patch.object(client, name) as fake:
        assert getattr(client, name) is fake
        assert getattr(client.with_options(timeout=3), name) is fake
    monkeypatch.setattr(client, name, None)
    assert getattr(client, name) is None
    monkeypatch.undo()
    assert getattr(client, name) is namespace
    setattr(client, name, "mine")
    assert getattr(client, name) == "mine"


async def test_a_test_can_replace_methods_on_models(monkeypatch: pytest.MonkeyPatch) -> None:
    client = AsyncContainerPoolsClient(api_key=KEY)
    assert client.api is client.api
    assert client.api.pools is client.api.pools
    monkeypatch.setattr(client.api.pools, "get_pool", mock.Mock(return_value=1))
    fake: Any = mock.Mock()
    client.api.tasks = fake
    view = client.with_options(timeout=3)
    for api in (client.api, view.api):
        assert api.pools.get_pool(P) == 1  # type: ignore[comparison-overlap]
        assert api.tasks is fake
    assert view.api.pools._calls is not client.api.pools._calls


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_copies_and_pickles_are_refused_alike(
    server: RecordingServer, duplicate: Callable[[object], object]
) -> None:
    client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url)
    for instance in (client, client.rollouts.events(P, R)):
        with pytest.raises(TypeError, match="not pickled or copied: create a client where"):
            duplicate(instance)


async def test_a_view_has_the_attributes_of_a_subclass(server: RecordingServer) -> None:
    class Client(AsyncContainerPoolsClient):
        __slots__ = ("meter", "unset")
        meter: int

    client = Client(api_key=KEY, base_url=server.url)
    client.meter = 7
    client.team = "a"  # type: ignore[attr-defined]
    view: Any = client.with_options(timeout=3)
    assert (type(view), view.meter, view.team) == (Client, 7, "a")
    await view.rollouts.get(P, R)
    assert [item async for item in view.iter_pools()] == []


async def test_a_namespace_calls_its_own_client_and_what_replaces_its_methods(
    server: RecordingServer,
) -> None:
    class Client(AsyncContainerPoolsClient):
        async def get_rollout(
            self, pool_id: str | uuid.UUID, rollout_id: str | uuid.UUID
        ) -> dict[str, Any]:
            return {"of": pool_id, "id": rollout_id}

    client = Client(api_key=KEY, base_url=server.url)
    assert await client.rollouts.get(P, R) == {"of": P, "id": R}
    await client.tasks.list(P)
    await client.with_options(headers={"X-Team": "a"}).tasks.list(P)
    assert server.last.headers["x-team"] == "a"
    await client.tasks.list(P)
    assert "x-team" not in server.last.headers
    client.list_tasks = client.get_pool  # type: ignore[method-assign]
    await client.tasks.list(P)
    assert server.last.path == f"/v1/pools/{P}"
    # The namespace outlives its client, and neither waits for the garbage collector.
    del client.list_tasks
    metrics, dropped = client.metrics, weakref.ref(client)
    gc.disable()
    try:
        del client
        assert dropped() is None
    finally:
        gc.enable()
    await metrics.get(P)
    assert server.last.path == f"/v1/pools/{P}/metrics"
    await metrics._client._transport.aclose()


async def test_a_method_with_the_published_signature_is_called_by_its_short_name(
    server: RecordingServer,
) -> None:
    class Client(AsyncContainerPoolsClient):
        async def create_rollout(  # type: ignore[override]
            self, pool_id: Any, request: Any
        ) -> dict[str, Any]:
            return await super().create_rollout(pool_id, {**request, "seed": 7})

        async def create_global_rollout(self, request: Any) -> dict[str, Any]:  # type: ignore[override]
            return {"global": request}

    async with Client(api_key=KEY, base_url=server.url) as client:
        await client.rollouts.create(P, {"mode": "async"})
        assert server.last.json == {"mode": "async", "seed": 7}
        assert await client.agent_rollouts.create({}) == {"global": {}}
        with pytest.raises(TypeError, match="idempotency_key"):
            await client.rollouts.create(P, {}, idempotency_key="k")
        with mock.patch.object(client, "create_rollout", mock.Mock(return_value=1)) as fake:
            with contextlib.suppress(TypeError):  # An async client waits for it.
                await client.rollouts.create(P, {"seed": 1})
            fake.assert_called_once_with(P, {"seed": 1})


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("rollouts", "run_many"),
        ("agent_rollouts", "download_artifact"),
        ("tasks", "patch"),
        ("metrics", "get"),
    ],
)
def test_a_namespace_says_what_it_has_and_of_which_client(
    server: RecordingServer, name: str, method: str
) -> None:
    client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url)
    namespace = getattr(client, name)
    text = repr(namespace)
    assert text.startswith(f"<{type(namespace).__name__} of {client!r}: ")
    assert method in text.removesuffix(">").partition(">: ")[2].split(", ")
    assert server.url in text
    assert KEY not in text
    # A debugger shows clients during their creation.
    assert type(namespace).__name__ in repr(object.__new__(type(namespace)))


async def test_a_closed_client_says_so(server: RecordingServer) -> None:
    client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url)
    await client.get_pool(P)
    await client.aclose()
    await client.aclose()
    assert client.is_closed
    assert "closed" in repr(client)
    for call in EVERY:
        with pytest.raises(ClientClosedError, match="the client is closed"):
            await (call.on(client).__anext__() if call.is_stream else call.on(client))
    with pytest.raises(ClientClosedError):
        await client.__aenter__()
    assert len(server.requests) == 1


async def test_closing_an_unused_client_is_fine() -> None:
    async with AsyncContainerPoolsClient(api_key=KEY) as client:
        assert not client.is_closed
    assert client.is_closed


async def test_a_callers_own_http_client_is_used_and_left_open(
    server: RecordingServer, supplied: ModuleType
) -> None:
    async with supplied.AsyncClient(
        headers={"X-Mine": "yes", "Authorization": "Basic mine"},
        auth=supplied.BasicAuth("user", "password"),
        base_url=supplied.URL("http://127.0.0.1:1/elsewhere/"),
        timeout=supplied.Timeout(None),
        follow_redirects=True,
    ) as http:
        for _ in range(2):
            async with AsyncContainerPoolsClient(
                api_key=KEY, base_url=server.url, http_client=http
            ) as client:
                await client.get_pool(P)
            assert not http.is_closed
        assert server.last.headers["x-mine"] == "yes"
        assert server.last.headers["authorization"] == f"Bearer {KEY}"
        assert server.last.path == f"/v1/pools/{P}"
        assert server.connections == 1
        with pytest.raises(ClientClosedError):
            await client.get_pool(P)
        async with AsyncSynthClient(
            api_key=KEY, base_url=server.url, http_client=http
        ) as front_door:
            await front_door.pools.get_pool(P)
        await http.get(server.url)
        assert server.last.headers["authorization"] != f"Bearer {KEY}"


async def test_a_callers_own_http_client_has_our_time_limit(
    server: RecordingServer, supplied: ModuleType
) -> None:
    def answer(request: Recorded) -> Reply:
        server.client_left.wait(60)
        return Reply()

    server.reply_with(answer)
    async with supplied.AsyncClient(timeout=None) as http:
        client = AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, timeout=0.2, http_client=http
        )
        with pytest.raises(APITimeoutError):
            await client.get_pool(P)
    server.client_left.set()


async def test_a_callers_own_http_client_that_was_closed(
    server: RecordingServer, supplied: ModuleType
) -> None:
    http = supplied.AsyncClient()
    client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, http_client=http)
    await http.aclose()
    with pytest.raises(ClientClosedError):
        await client.get_pool(P)


@pytest.mark.parametrize("wrong", [httpx, "http", object()])
def test_what_is_no_http_client_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="http_client must be an httpx"):
        AsyncContainerPoolsClient(api_key=KEY, http_client=wrong)


def test_an_http_client_of_the_other_variant_is_refused() -> None:
    wrong = OTHER_VARIANT[httpx.AsyncClient]()
    with pytest.raises(ConfigurationError, match="http_client must be an httpx"):
        AsyncContainerPoolsClient(api_key=KEY, http_client=wrong)
