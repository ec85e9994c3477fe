"""A headless Chromium over its debugging pipe: no driver, no socket, no package.

Commands and events are those of the Chrome DevTools Protocol, JSON texts with a zero byte behind each.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--hide-scrollbars", "--mute-audio",
)  # fmt: skip
TO_BROWSER, FROM_BROWSER = 3, 4  # what the browser reads and writes
PATIENCE_S = 60.0
KEYS = {
    "ArrowDown": 40,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowLeft": 37,
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
}


def found() -> str | None:
    """The browser of this machine: that of CHROMIUM, else one that goes by a usual name."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One page, and what it asked for and complained of since it was opened."""

    def __init__(self, browser: Chromium, session: str, context: str) -> None:
        self.browser, self.session, self.context = browser, session, context
        self.requests: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """A command's answer."""
        return self.browser.call(method, self.session, **parameters)

    def heard(self, method: str, said: dict[str, Any]) -> None:
        """Keep what tests ask about."""
        if method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(said["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(said["args"])[:500])
        elif method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")

    def goto(self, url: str) -> None:
        """Open an address."""
        self.call("Page.navigate", url=url)

    def js(self, expression: str) -> Any:
        """The value of an expression, awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def until(self, condition: str) -> Any:
        """The value of a condition when it holds; True where that is an element."""
        shown = f"((one) => one instanceof Node || one)({condition})"
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            value = self.js(f"(() => {{ try {{ return {shown}; }} catch {{ return null; }} }})()")
            if value:
                return value
            time.sleep(0.05)
        text = self.js("document.body.innerText.slice(0, 2000)")
        raise AssertionError(f"{condition} never held; {self.complaints}; the page says: {text}")

    def press(self, key: str) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key])

    def type(self, text: str) -> None:
        """Type where the focus is."""
        self.call("Input.insertText", text=text)

    def screen(self, width: int, height: int = 900) -> None:
        """Another size of the screen."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def prefers(self, scheme: str) -> None:
        """What the system prefers: light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def downloads(self, folder: Path) -> None:
        """Where files go that are downloaded."""
        told = {"behavior": "allow", "downloadPath": str(folder), "browserContextId": self.context}
        self.browser.call("Browser.setDownloadBehavior", **told)


class Chromium:
    """A running browser."""

    def __init__(self, program: str, folder: Path) -> None:
        reads, self._to = _pipe()
        self._from, writes = _pipe()

        def places() -> None:
            os.dup2(reads, TO_BROWSER)
            os.dup2(writes, FROM_BROWSER)

        self._process = subprocess.Popen(
            [program, *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=places, pass_fds=(TO_BROWSER, FROM_BROWSER),
        )  # fmt: skip
        os.close(reads)
        os.close(writes)
        self._rest, self._last = b"", 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._pages: dict[str, Page] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)

    @contextmanager
    def page(self) -> Iterator[Page]:
        """A page of its own, without what others stored."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._pages[session] = page = Page(self, session, context)
        try:
            yield page
        finally:
            del self._pages[session]
            self.call("Target.disposeBrowserContext", browserContextId=context)

    def call(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        """A command's answer; what the browser says meanwhile is heard."""
        self._last += 1
        asked = {"id": self._last, "method": method, "params": parameters}
        whole = json.dumps(asked | ({"sessionId": session} if session else {})).encode() + b"\0"
        while whole:
            whole = whole[os.write(self._to, whole) :]
        wanted = self._last
        while wanted not in self._answers:
            self._hear()
        answer = self._answers.pop(wanted)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _hear(self) -> None:
        if not select.select([self._from], [], [], PATIENCE_S)[0]:
            raise AssertionError("the browser says nothing")
        read = os.read(self._from, 1 << 20)
        if not read:
            raise AssertionError("the browser ended")
        *texts, self._rest = (self._rest + read).split(b"\0")
        for text in texts:
            said = json.loads(text)
            if "id" in said:
                self._answers[said["id"]] = said
            elif page := self._pages.get(said.get("sessionId", "")):
                page.heard(said["method"], said.get("params", {}))


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are none of the browser's own numbers."""
    ends = os.pipe()
    read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return read, write
