"""A headless Chromium, spoken to by its DevTools protocol (https://chromedevtools.github.io/devtools-protocol)."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.sync.client import ClientConnection, connect

from harness.processes import Program

PATIENCE = 20.0
"""Seconds."""


class Browser:
    """A browser of its own, with a folder of its own; a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        found = shutil.which("chromium")
        assert found, "chromium is not installed: `make setup` installs it"
        words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        words += ["--remote-debugging-port=0", f"--user-data-dir={self._folder.name}", "about:blank"]
        self._program = Program([found, *words], env={"HOME": self._folder.name})
        self._pages: list[Page] = []
        try:
            self._place = self._program.wait_line(r"DevTools listening on ws://([^/]+)/", PATIENCE)[1]
        except BaseException:
            self.close()
            raise

    def open(self, url: str) -> Page:
        """A new page there, once it has loaded."""
        told = httpx.put(f"http://{self._place}/json/new?about:blank", timeout=PATIENCE).json()
        page = Page(told["webSocketDebuggerUrl"])
        self._pages.append(page)
        page.go(url)
        return page

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends it, and all of its pages."""
        for page in self._pages:
            page.close()
        self._program.close()
        self._folder.cleanup()


class Navigated(Exception):
    """The page went elsewhere while it was asked for something."""


class Page:
    """One page."""

    def __init__(self, url: str) -> None:
        self._open = ExitStack()
        connecting = connect(url, max_size=None, open_timeout=PATIENCE)
        self._socket: ClientConnection = self._open.enter_context(connecting)
        self._numbers = itertools.count()
        self._tell("Page.enable")

    def _tell(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            told: dict[str, Any] = json.loads(self._socket.recv(PATIENCE))
            if told.get("id") == number:
                if "navigated" in told.get("error", {}).get("message", ""):
                    raise Navigated
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result

    def go(self, url: str) -> None:
        """Goes to an address, and waits until it has loaded."""
        self._tell("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression of JavaScript, awaited."""
        told = self._tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, script: str, deadline: float = PATIENCE) -> Any:
        """The value of an expression, when it is true."""
        end = time.monotonic() + deadline
        # The page itself looks now and then: each look is a message otherwise.
        looking = f"new Promise(done => {{ const look = () => {{ let v; try {{ v = {script} }} catch {{}} "
        looking += "if (v || Date.now() > until) done(v); else setTimeout(look, 20) }; const until = Date.now() + 1000; look() })"
        while not (value := self._seen(looking)):
            assert time.monotonic() < end, f"not within {deadline} s: {script}\n{self.run('document.body.innerText')}"
        return value

    def _seen(self, script: str) -> Any:
        try:
            return self.run(script)
        except Navigated:  # to a page where it may become true
            return None

    def fill(self, selector: str, text: str) -> None:
        """Types into an input."""
        self.run(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(text)}")

    def click(self, selector: str) -> None:
        """Clicks."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def picture(self, path: Path) -> None:
        """Keeps a picture of it."""
        import base64

        path.write_bytes(base64.b64decode(self._tell("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """Closes it."""
        self._open.close()
