"""Image releases in the database: bindings, and what ends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.services import Services
from synth_pools.backend.storage import image_releases as releases
from synth_pools.backend.storage import pools
from synth_pools.backend.storage.database import Transaction
from tests.support.backend_server import opened_services

BASE = {"image": "team/solver:1", "env": {"A": "pool"}, "port": 9000}


def reference(number: int) -> str:
    return f"team/solver@sha256:{number:064x}"


async def create(services: Services, base: dict[str, Any] | None, *task_ids: str) -> str:
    """Create a pool with two releases of its image, `one` and `two` by their names."""

    def work(tx: Transaction) -> str:
        config = {} if base is None else {"config": {"image": base}}
        pool = pools.insert_pool(tx, None, config)
        pools.replace_tasks(tx, pool.id, [(task_id, {}) for task_id in task_ids])
        return pool.id

    return str(await services.database.write(work))


async def add(services: Services, pool_id: str, number: int, **fields: Any) -> str:
    definition = {"source_kind": "image_ref", **fields}
    row = await services.database.write(
        lambda tx: releases.insert_release(tx, pool_id, definition, reference(number), "d")
    )
    return str(row["id"])


async def bind(
    services: Services, pool_id: str, release_id: str, task: str | None = None, *, now: Any = None
) -> Any:
    """Bind a release, and return the pool's `config.image` and the images of its tasks."""

    def work(tx: Transaction) -> Any:
        pool = pools.find_pool(tx, pool_id)
        _, changed = releases.bind_release(tx, pool, task, release_id, now)
        tasks = changed.task_definitions.items()
        image = changed.view["config"].get("image")
        return image, {name: value["config"]["image"] for name, value in tasks}

    return await services.database.write(work)


async def change(services: Services, pool_id: str, **definition: Any) -> dict[str, Any]:
    """Replace the definition of a pool, and return what is bound then."""

    def work(tx: Transaction) -> dict[str, Any]:
        pool = pools.find_pool(tx, pool_id)
        return pools.update_pool(tx, pool, definition or pool.definition).releases

    bound: dict[str, Any] = await services.database.write(work)
    return bound


async def test_the_release_of_the_only_task_is_in_the_definition_of_its_pool(
    tmp_path: Path,
) -> None:
    async with opened_services(tmp_path) as services:
        pool_id = await create(services, BASE, "t")
        first = await add(services, pool_id, 1, entrypoint="serve 'a b'", env_vars={"B": "one"})
        second = await add(services, pool_id, 2, entrypoint="not 'closed", limits={"pids": 7})
        image, tasks = await bind(services, pool_id, first, now="")
        assert tasks == {}
        assert image == {
            **BASE,
            "image": reference(1),
            "command": ["serve", "a b"],
            "env": {"A": "pool", "B": "one"},
        }
        # Nothing of the first one stays.
        image, _ = await bind(services, pool_id, second, "t", now=first)
        command = ["not", "'closed"]
        assert image == {**BASE, "image": reference(2), "command": command, "pids": 7}
        # Other settings leave the binding, another image ends it.
        assert "t" in await change(services, pool_id, config={"image": {**image, "port": 1}})
        assert await change(services, pool_id, config={"image": BASE}) == {}
        await bind(services, pool_id, first, now="")


async def test_a_binding_ends_with_its_task(tmp_path: Path) -> None:
    async with opened_services(tmp_path) as services:
        pool_id = await create(services, None, "t", "u")
        release_id = await add(services, pool_id, 1)
        image, tasks = await bind(services, pool_id, release_id, "t")
        assert (image, tasks) == (None, {"t": {"image": reference(1)}})
        assert set(await change(services, pool_id)) == {"t"}
        await services.database.write(
            lambda tx: pools.replace_tasks(tx, pool_id, [("t", {}), ("v", {})])
        )
        assert set(await change(services, pool_id)) == {"t"}
        await services.database.write(lambda tx: pools.delete_task(tx, pool_id, "t"))
        assert await change(services, pool_id) == {}
        # The one that is left becomes the only one.
        image, tasks = await bind(services, pool_id, release_id)
        assert (image["image"], tasks) == (reference(1), {})


@pytest.mark.parametrize(
    ("tasks", "task", "now", "code"),
    [
        ((), None, None, "single_task_required"),
        (("t", "u"), None, None, "single_task_required"),
        (("t",), "x", None, "task_not_found"),
        (("t",), None, "another", "release_mismatch"),
        (("t", "u"), "u", "another", "release_mismatch"),
    ],
)
async def test_a_binding_that_is_refused(
    tmp_path: Path, tasks: tuple[str, ...], task: str | None, now: str | None, code: str
) -> None:
    async with opened_services(tmp_path) as services:
        pool_id = await create(services, BASE, *tasks)
        release_id = await add(services, pool_id, 1)
        with pytest.raises(ApiError) as caught:
            await bind(services, pool_id, release_id, task, now=now)
        assert caught.value.code == code
        assert await change(services, pool_id) == {}


async def unbind(services: Services, pool_id: str, release_id: str, task: str | None = None) -> Any:
    """Unbind a release, and return the pool's `config` and what is bound then."""

    def work(tx: Transaction) -> Any:
        _, changed = releases.unbind_release(tx, pools.find_pool(tx, pool_id), task, release_id)
        return changed.view["config"], changed.releases

    return await services.database.write(work)


@pytest.mark.parametrize("base", [BASE, None])
async def test_an_unbound_pool_is_what_it_was(tmp_path: Path, base: dict[str, Any] | None) -> None:
    async with opened_services(tmp_path) as services:
        pool_id = await create(services, base, "t")
        first, second = [await add(services, pool_id, number) for number in (1, 2)]
        for release_id in (first, second):
            await bind(services, pool_id, release_id)
        config, bound = await unbind(services, pool_id, second)
        assert (config.get("image"), bound) == (base, {})
        await services.database.write(
            lambda tx: releases.delete_release(tx, pools.find_pool(tx, pool_id), second)
        )
        with pytest.raises(ApiError) as caught:
            await unbind(services, pool_id, first)
        assert caught.value.code == "release_mismatch"


async def test_of_several_tasks_one_is_unbound(tmp_path: Path) -> None:
    async with opened_services(tmp_path) as services:
        pool_id = await create(services, BASE, "t", "u")
        first, second = [await add(services, pool_id, number) for number in (1, 2)]
        for task in ("t", "u"):
            await bind(services, pool_id, first, task)
        refusals: list[tuple[str, str | None, str]] = [
            (first, None, "single_task_required"),
            (second, "t", "release_mismatch"),
            ("none", "t", "release_not_found"),
            (first, "v", "task_not_found"),
        ]
        for release_id, name, code in refusals:
            with pytest.raises(ApiError) as caught:
                await unbind(services, pool_id, release_id, name)
            assert caught.value.code == code
        config, bound = await unbind(services, pool_id, first, "t")
        assert (config["image"], set(bound)) == (BASE, {"u"})


async def test_a_task_with_an_address_is_not_bound(tmp_path: Path) -> None:
    async with opened_services(tmp_path) as services:
        pool_id = await create(services, BASE, "t")
        release_id = await add(services, pool_id, 1)
        address = {"container_url": "http://127.0.0.1:9"}
        await services.database.write(lambda tx: pools.update_task(tx, pool_id, "t", address))
        with pytest.raises(ApiError, match="container_url"):
            await bind(services, pool_id, release_id)


async def test_a_bound_release_is_not_deleted_and_is_of_one_pool(tmp_path: Path) -> None:
    async with opened_services(tmp_path) as services:
        pool_id, other_id = [await create(services, BASE, "t") for _ in range(2)]
        release_id = await add(services, pool_id, 1)
        await bind(services, pool_id, release_id)

        async def code(pool_id: str) -> str:
            with pytest.raises(ApiError) as caught:
                await services.database.write(
                    lambda tx: releases.delete_release(tx, pools.find_pool(tx, pool_id), release_id)
                )
            return caught.value.code

        assert await code(pool_id) == "release_bound"
        assert await code(other_id) == "release_not_found"
        await change(services, pool_id, config={"image": BASE})
        await services.database.write(
            lambda tx: releases.delete_release(tx, pools.find_pool(tx, pool_id), release_id)
        )
        assert await code(pool_id) == "release_not_found"
