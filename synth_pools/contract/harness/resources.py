"""Pools that a scenario creates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from synth_pools.contract.exceptions import InconclusiveError, StopScenarioError
from synth_pools.contract.http.client import Response
from synth_pools.contract.results import Outcome
from synth_pools.contract.session import Session


class Resources:
    """Pools of one check, each under a name that no other check uses.

    Args:
        session: The run.
        check: The id of the check.
        require: Sends a request that must succeed; see `Context.require`.
        first_number: The number after which those of the names begin.
    """

    def __init__(
        self, session: Session, check: str, require: Callable[..., Response], first_number: int = 0
    ) -> None:
        self._session = session
        self._require = require
        # Plain ids: a scenario tests other characters.
        self._slug = check.replace("_", "-").replace(".", "-")
        self._number = first_number

    def name(self, subject: str = "") -> str:
        """Return an unused id."""
        self._number += 1
        parts = (self._slug, subject, str(self._number))
        return self._session.pool_id("-".join(filter(None, parts)))

    def pool(self, subject: str = "", **more: Any) -> str:
        """Create a pool and wait until it is active.

        Args:
            subject: A part of its name.
            **more: Fields of its definition.

        Returns:
            Its id.
        """
        return str(self.create_pool(self.body(subject, **more)).at("id"))

    def body(self, subject: str = "", **more: Any) -> dict[str, Any]:
        """Return the body that creates a pool; the run archives that pool at its end."""
        identity = self._named(subject)
        self._session.register_pool(identity["pool_id"])
        return self._session.pool_body("x", **{**identity, **more})

    def live_pool(self, subject: str = "", **more: Any) -> str:
        """Create a pool whose rollouts obey their `env`, as in `env.delay`; see `pool`.

        Raises:
            InconclusiveError: This server cannot have such a pool.
        """
        body = self._session.live_pool_body("x", **self._named(subject), **more)
        if body is None:
            raise InconclusiveError(
                Outcome.NOT_REACHED,
                "create_rollout",
                "needs a slow rollout: the server has no echo target and is not on this machine",
            )
        return str(self.create_pool(body).at("id"))

    def create_pool(self, body: Mapping[str, Any]) -> Response:
        """Create a pool from a complete body and wait until it is active.

        Returns:
            The response of the creation.

        Raises:
            StopScenarioError: It was not created.
            InconclusiveError: It did not become active in time.
        """
        self._session.register_pool(str(body.get("pool_id") or body.get("id")))
        response = self._require(201, "create_pool", json=body)
        created = response.at("id")
        if not isinstance(created, str):
            raise StopScenarioError
        self._session.register_pool(created)
        if response.at("status") != "active":
            self.wait_until_active(created)
        return response

    def wait_until_active(self, pool_id: str) -> None:
        """Wait until a pool admits rollouts.

        Raises:
            InconclusiveError: It failed, was archived, or did not become active in time.
        """
        status: object = "unknown"
        for _ in self._session.pauses():
            status = self._require(200, "get_pool", {"pool_id": pool_id}).at("status")
            if status == "active":
                return
            if status in ("failed", "archived"):
                break
        note = f"the pool was {status} and not active after {self._session.patience:.0f} s"
        raise InconclusiveError(Outcome.NOT_REACHED, "create_pool", note)

    def _named(self, subject: str) -> dict[str, str]:
        name = self.name(subject)
        return {"pool_id": name, "name": name}
