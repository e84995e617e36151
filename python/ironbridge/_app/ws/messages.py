"""Messages to websockets: models with an id, as clients tell them apart."""

from __future__ import annotations

import json
from typing import ClassVar

from pydantic import BaseModel

from ..reflect.decorators import StackableDecorator


class WebSocketMessageBase(BaseModel):
    """What is sent to websockets: derive a model from it, and give it a `MESSAGE_ID`."""

    MESSAGE_ID: ClassVar[str] = "__unset__"

    def encoded(self) -> bytes:
        """As it is sent: `{"MESSAGE_ID": …, "message": {…}}`."""
        return f'{{"MESSAGE_ID":{json.dumps(self.MESSAGE_ID)},"message":{self.model_dump_json()}}}'.encode()


class WebSocketMessage(WebSocketMessageBase):
    """The same, which can send itself."""

    async def send(self, *rooms: str) -> None:
        """Sends it to those in these rooms: when the unit of work that runs now has ended well, or at once on a
        websocket, whose unit of work ends only with it.

        Raises:
            OutsideOfContextError: nothing runs that has websockets.
        """
        from .managing import stage

        await stage(list(rooms), self)


class RegisterWebSocketMessage(StackableDecorator):
    """Has generated clients know these messages of a controller."""

    def __init__(self, *types: type[WebSocketMessageBase]) -> None:
        self.types = types
