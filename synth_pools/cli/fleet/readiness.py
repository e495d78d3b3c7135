"""The pool of a run before its first rollout: does it exist, and is it active."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from synth_pools.cli.access.connection import ServiceOptions
from synth_pools.cli.failures import CommandError, ExitStatus
from synth_pools.cli.operations.ids import with_full_ids
from synth_pools.cli.output import safe_text, say

if TYPE_CHECKING:
    from synth_pools import ContainerPoolsClient

_LOOK_SECONDS = 1.0
# An image may take long to be pulled; after that the run itself waits.
_LONGEST_WAIT_SECONDS = 3600.0
# Looks in a row; after that the run itself survives the outage.
_MOST_UNANSWERED = 30
_PREPARING = ("uploading", "building", "warming")


def usable_pool(connection: ServiceOptions, pool_id: str) -> dict[str, Any]:
    """Ask for a pool once, and wait while it is prepared; return it.

    Raises:
        CommandError: There is no such pool, it has failed, or the key is refused.
    """
    with connection.client(max_retries=0) as client:
        # Loaded by the client already.
        from synth_pools.errors import (
            APIConnectionError,
            PoolFailedError,
            RateLimitError,
            ServerError,
        )

        def find(arguments: dict[str, Any]) -> dict[str, Any]:
            return {**client.get_pool(arguments["pool_id"]), "id": arguments["pool_id"]}

        pool: dict[str, Any] = {"id": pool_id}
        # The run itself survives a short outage of the service.
        with contextlib.suppress(APIConnectionError, RateLimitError, ServerError):
            pool = with_full_ids(client, find, {"pool_id": pool_id})
            try:
                _wait_until_active(client, pool)
            except PoolFailedError as error:
                advice = f"; next: synth-pools logs {pool['id']}" if has_own_processes(pool) else ""
                raise CommandError(
                    f"{str(error).removesuffix('.')}{advice}", ExitStatus.FAILED
                ) from error
        return pool


def has_own_processes(pool: dict[str, Any]) -> bool:
    """Tell whether the service starts the containers of a pool, and keeps their output."""
    config = pool.get("config")
    return isinstance(config, dict) and bool(config.get("process") or config.get("image"))


def is_of_container(failure: str) -> bool:
    """Tell whether the output of a container may explain a failure."""
    return failure.startswith("container_") or failure == "PoolFailedError"


def _wait_until_active(client: ContainerPoolsClient, pool: dict[str, Any]) -> None:
    # Loaded by the client already.
    from synth_pools.errors import APITimeoutError, WaitTimeoutError

    pool_id, status = pool["id"], pool.get("status")
    if status == "paused":
        say(f"pool {pool_id} is paused: its rollouts wait until it is resumed")
    config = pool.get("config")
    if isinstance(config, dict) and (rate := config.get("max_starts_per_second")):
        say(f"pool {pool_id} starts at most {rate} rollouts a second: the others wait")
    reported: set[str] = set()
    unanswered = 0
    give_up_at = time.monotonic() + _LONGEST_WAIT_SECONDS
    if status in _PREPARING:
        say(f"pool {pool_id} is {status}: waiting until it is active")
    while status in (*_PREPARING, "failed", "archived") and time.monotonic() < give_up_at:
        try:
            client.wait_pool_active(pool_id, timeout=_LOOK_SECONDS)
        except APITimeoutError:
            # One look that a busy service does not answer in time tells nothing.
            unanswered += 1
            if unanswered == _MOST_UNANSWERED:
                raise
        except WaitTimeoutError as error:
            unanswered = 0
            status = (error.last or {}).get("status", status)
            _report_ends(client, pool_id, reported)
        else:
            return


def _report_ends(client: ContainerPoolsClient, pool_id: str, reported: set[str]) -> None:
    """Say how the processes of a pool have ended, and what they wrote last, each thing once."""
    # Loaded by the client already.
    from synth_pools.errors import SynthPoolsError

    # Some services keep no output.
    with contextlib.suppress(SynthPoolsError, KeyError):
        page = client.get_pool_logs(pool_id)
        last = {(line["process"], line["attempt"]): line["text"] for line in page["lines"]}
        for process in page["processes"]:
            place = (process["process"], process["attempt"])
            text = f": {safe_text(last[place])}" if place in last else ""
            sentence = f"process {place[0]} ended with {process['exit_code']}{text}"
            if process["running"] or sentence in reported:
                continue
            reported.add(sentence)
            say(sentence)
            say(f"next: synth-pools logs {pool_id}")
