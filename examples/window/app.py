"""A terminal window that keeps painting during a five-second call, and whose Cancel works.

pip install textual
python examples/window/app.py
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import ironbridge.bridge as meta
import service
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Button, Footer, Label
from textual.worker import Worker


class Window(App[None]):
    """Two buttons, a line that says how the work goes, and a clock that shows the window is alive."""

    CSS = "Screen { align: center middle; } Horizontal { height: auto; width: auto; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit", "Quit")]

    def __init__(self, seconds: float = 5.0) -> None:
        super().__init__()
        self.seconds = seconds
        self.frames = 0
        self.running: Worker[None] | None = None
        self.status = Label("ready", id="status")
        self.clock = Label("", id="clock")
        self.start = Button("Start", id="start", variant="primary")
        self.stop = Button("Cancel", id="cancel", disabled=True)

    def compose(self) -> ComposeResult:
        yield self.status
        yield self.clock
        with Horizontal():
            yield self.start
            yield self.stop
        yield Footer()

    def on_mount(self) -> None:
        self.set_interval(1 / 30, self.paint)

    def paint(self) -> None:
        self.frames += 1
        self.clock.update("◐◓◑◒"[self.frames // 4 % 4])

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "start":
            self.running = self.run_worker(self.work())
        elif self.running is not None:
            self.running.cancel()

    async def work(self) -> None:
        self.status.update("working…")
        self.start.disabled, self.stop.disabled = True, False
        try:
            async with meta.connect_async("slow-work") as client:
                self.status.update(await client.work(self.seconds))
        except asyncio.CancelledError:
            self.status.update("cancelled")
            raise
        except meta.MetaBridgeError as error:
            self.status.update(f"failed: {error}")
        finally:
            self.start.disabled, self.stop.disabled = False, True


def main() -> None:
    handle = service.start()
    try:
        Window().run()
    finally:
        handle.stop()


if __name__ == "__main__":
    main()
