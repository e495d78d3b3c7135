"""Sandbox of Harbor that never starts, so that its job runs until it is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

from harbor.environments.base import BaseEnvironment, ExecResult


class WaitingEnvironment(BaseEnvironment):  # type: ignore[misc]
    @staticmethod
    def type() -> str:
        return "waiting"

    def _validate_definition(self) -> None:
        pass

    async def start(self, force_build: bool) -> None:
        del force_build
        await asyncio.sleep(3600)

    async def stop(self, delete: bool) -> None:
        del delete

    async def upload_file(self, source_path: Any, target_path: Any) -> None:
        raise NotImplementedError

    upload_dir = download_file = download_dir = upload_file

    async def exec(self, *_: Any, **__: Any) -> ExecResult:
        raise NotImplementedError
