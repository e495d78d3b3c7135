"""A pool in memory that admits rollouts in batches, too."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.support.fault_server import Seen
from tests.support.faults import Fault, answer, when
from tests.support.fleet_service import FleetService


class BatchService(FleetService):
    """`FleetService` with the batches of the contract: each item has the batch's key and its place.

    Attributes:
        batches: The bodies of the batches by key, in the order of their arrival.
        sent: How often each was sent.
        tells: Condition on which the capabilities are answered; requests for them wait for it.
        refuse_item: Return the status and the error of a refused request in a batch, or None.
        reply: Return a fault in place of the answer to an admitted batch, or None.
        distort: Change the items of an answer.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(seconds)
        self.batches: dict[str, Any] = {}
        self.sent: list[str] = []
        self.features["batch"] = True
        self.tells: Callable[[], bool] = lambda: True
        self.refuse_item: Callable[[Any], tuple[int, dict[str, Any]] | None] = lambda _: None
        self.reply: Callable[[Seen], Fault | None] = lambda _: None
        self.distort: Callable[[list[dict[str, Any]]], Any] = lambda items: items

    @property
    def sizes(self) -> list[int]:
        return [len(body["rollouts"]) for body in self.batches.values()]

    def __call__(self, request: Seen) -> Fault:
        if request.path == "/v1/capabilities":
            return when(self.tells, super().__call__(request))
        return (
            self._batch(request)
            if request.path == "/v1/rollouts/batch"
            else super().__call__(request)
        )

    def _batch(self, recorded: Seen) -> Fault:
        fault = self.refuse(recorded)
        if fault is not None:
            return fault
        key, body = recorded.headers["idempotency-key"], json.loads(recorded.body)
        self.sent.append(key)
        if self.batches.setdefault(key, body) != body:
            return answer({"error": {"code": "idempotency_conflict", "message": "another"}}, 409)
        items = [
            self._item(f"{key}:{index}", index, request)
            for index, request in enumerate(body["rollouts"])
        ]
        return self.reply(recorded) or answer({"items": self.distort(items)})

    def _item(self, key: str, index: int, request: Any) -> dict[str, Any]:
        refused = None if key in self.keys else self.refuse_item(request)
        if refused is not None:
            status, error = refused
            return {"index": index, "status": status, "rollout": None, "error": error}
        rollout = {"id": self.admit(key, request), "status": "queued"}
        return {"index": index, "status": 202, "rollout": rollout, "error": None}
