"""Path of a task through the modules of the product, by its calls and returns."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import synth_pools

_ROOT = str(Path(synth_pools.__file__).parent) + "/"


@dataclass
class CallPath:
    """Path through the modules, recorded while `is_on`.

    It has the steps of the task that called `begin`, of callbacks of the event loop, and of other
    threads. Other tasks are left out, since they serve other requests.

    Attributes:
        modules: The modules in the order in which a call or a return entered them; one that is
            entered from itself is not repeated.
        is_on: True while steps are recorded.
    """

    modules: list[str] = field(default_factory=list)
    is_on: bool = False
    _task: asyncio.Task[Any] | None = None
    _names: dict[CodeType, str | None] = field(default_factory=dict)

    def begin(self) -> None:
        """Start an empty path for the current task."""
        self.modules.clear()
        self._task = asyncio.current_task()
        self.is_on = True

    def end(self) -> None:
        """Stop recording."""
        self.is_on = False

    def entries(self, module: str) -> int:
        """Count how often a module was entered from another one."""
        return self.modules.count(module)

    def observe(self, frame: FrameType, event: str, _: object) -> None:
        """Record a call or a return; for `sys.setprofile`."""
        if not self.is_on or event not in ("call", "return"):
            return
        with contextlib.suppress(RuntimeError):
            if asyncio.current_task() not in (None, self._task):
                return
        module = self._module_of(frame.f_code)
        if event == "return":
            # A return through other libraries enters the nearest caller of the product.
            caller = frame.f_back
            while caller is not None and self._module_of(caller.f_code) is None:
                caller = caller.f_back
            module = None if caller is None else self._module_of(caller.f_code)
        if module is not None and self.modules[-1:] != [module]:
            self.modules.append(module)

    def _module_of(self, code: CodeType) -> str | None:
        if code not in self._names:
            path = code.co_filename
            inside = path.startswith(_ROOT)
            self._names[code] = path.removeprefix(_ROOT) if inside else None
        return self._names[code]


@contextlib.contextmanager
def call_path() -> Iterator[CallPath]:
    """Yield a path over this thread, and all threads started until the block ends."""
    path = CallPath()
    former = sys.getprofile()
    threading.setprofile(path.observe)
    sys.setprofile(path.observe)
    try:
        yield path
    finally:
        sys.setprofile(former)
        threading.setprofile(None)
