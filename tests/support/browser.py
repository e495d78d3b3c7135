"""Headless Chromium, controlled over its debugging pipe, without driver and port."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

_SECONDS = 60.0
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "PageDown": 34, "End": 35}
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass(slots=True)
class Page:
    _write: int
    _read: int
    _session: str = ""
    _count: int = 0
    _buffer: bytes = b""
    # Complaints of the page, and requests to other servers.
    complaints: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    # Statuses of answers that the test expects, and the browser reports at any later time.
    refusals: list[int] = field(default_factory=list)
    _loads: int = 0
    # The last trace, once it is complete.
    _trace: str = ""

    def open(self, url: str) -> None:
        """Load a page."""
        if not self._session:
            targets = self.call("Target.getTargets")["targetInfos"]
            target = next(target["targetId"] for target in targets if target["type"] == "page")
            attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
        loads = self._loads
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + _SECONDS
        while self._loads == loads or self.run("document.readyState") != "complete":
            if time.monotonic() > deadline:
                raise TimeoutError("the page did not load")
            # The next answer brings the events before it.
            self.run("1")
            time.sleep(0.02)

    def until(self, expression: str, seconds: float = 60.0) -> Any:
        """Evaluate an expression again and again until it is true, and return its value."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(expression)):
            if time.monotonic() > deadline:
                text = self.run("document.body.innerText")
                raise TimeoutError(f"never true: {expression}\n{text}\n{self.complaints}")
            time.sleep(0.02)
        return value

    def text(self, selector: str) -> str:
        """Return the text of an element, as it is shown, once there is one."""
        return str(self.until(f"document.querySelector({json.dumps(selector)})?.innerText"))

    def click(self, selector: str, text: str = "") -> None:
        """Click on an element, chosen by a selector and the start of its text, once it exists.

        Args:
            selector: A selector of CSS.
            text: The beginning of the element's text.
        """
        result = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find(e => e.textContent.trim().startsWith({json.dumps(text)}) && !e.disabled)"
        )
        self.until(f"!!({result})")
        self.run(f"{result}.click()")

    def fill(self, selector: str, text: str) -> None:
        """Write into a field, once it exists."""
        field = f"document.querySelector({json.dumps(selector)})"
        self.until(f"!!{field}")
        self.run(
            f"{field}.value = {json.dumps(text)};"
            f"{field}.dispatchEvent(new Event('input', {{bubbles: true}}));"
            f"{field}.dispatchEvent(new Event('change', {{bubbles: true}}))"
        )

    def press(self, key: str) -> None:
        """Press a key, as from a keyboard."""
        # Without its character Enter does nothing to a button.
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=_KEYS[key],
                **text,
            )

    def screenshot(self) -> bytes:
        """Take a screenshot as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def run(self, expression: str) -> Any:
        """Evaluate a JavaScript expression in the page; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    @contextmanager
    def tasks(self) -> Iterator[list[float]]:
        """List the seconds of a processor that each task of the page takes, once this is left.

        Not the seconds that pass: others use the machine, too.
        """
        seconds: list[float] = []
        self._trace = ""
        categories = ["toplevel", "devtools.timeline"]
        config = {"includedCategories": categories, "excludedCategories": ["*"]}
        self.call("Tracing.start", traceConfig=config, transferMode="ReturnAsStream")
        try:
            yield seconds
        finally:
            self.call("Tracing.end")
        deadline = time.monotonic() + _SECONDS
        while not self._trace:
            self._event(self._next(deadline))
        text = ""
        while True:
            piece = self.call("IO.read", handle=self._trace, size=1 << 20)
            encoded = piece.get("base64Encoded")
            text += base64.b64decode(piece["data"]).decode() if encoded else piece["data"]
            if piece["eof"]:
                break
        self.call("IO.close", handle=self._trace)
        events = json.loads(text)["traceEvents"]
        threads: dict[tuple[int, int], list[float]] = {}
        for event in events:
            if event["name"].endswith("RunTask") and "tdur" in event:
                threads.setdefault((event["pid"], event["tid"]), []).append(event["tdur"] / 1e6)
        pages = {
            (event["pid"], event["tid"])
            for event in events
            if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
        }
        seconds += max((result for thread, result in threads.items() if thread in pages), key=sum)

    def screen(self, width: int, height: int, *, phone: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )

    def scheme(self, name: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _SECONDS
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._event(answer)

    def _event(self, event: dict[str, Any]) -> None:
        if event.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            complaint = json.dumps(event["params"])
            # Containers of other tests bring interfaces of this machine up and down.
            if "net::ERR_NETWORK_CHANGED" not in complaint:
                self.complaints.append(complaint)
        elif event.get("method") == "Network.requestWillBeSent":
            self.requested.append(event["params"]["request"]["url"])
        elif event.get("method") == "Page.loadEventFired":
            self._loads += 1
        elif event.get("method") == "Tracing.tracingComplete":
            self._trace = event["params"]["stream"]

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser does not answer")
            piece = os.read(self._read, 1 << 16)
            if not piece:
                raise EOFError("the browser is gone")
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        value: dict[str, Any] = json.loads(message)
        return value


@contextmanager
def chromium(path: str) -> Iterator[Page]:
    """Start a browser with a temporary profile."""
    to_browser, ours_out = os.pipe()
    ours_in, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:

        def wire_up() -> None:
            # The browser reads commands from 3 and writes answers to 4.
            first, second = os.dup(to_browser), os.dup(from_browser)
            os.dup2(first, 3)
            os.dup2(second, 4)

        process = subprocess.Popen(
            [
                path,
                "--headless=new",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            preexec_fn=wire_up,
            # Numbers 3 and 4 are only made in the child, so nothing may be closed on the way there.
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile, "XDG_CONFIG_HOME": str(Path(profile) / "config")},
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Page(ours_out, ours_in)
        finally:
            os.close(ours_out)
            os.close(ours_in)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
