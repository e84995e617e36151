"""Loggers for debugging: of the calls that are made here, and of the packets that go out and come in."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from ..bus import matches
from ..errors import BrokerOptionsError

Call = Callable[[str, Any, dict[str, Any]], Awaitable[Any]]
Change = Callable[[str, bytes], bytes]
Sink = Callable[[Mapping[str, Any]], object]


class _Log:
    """Where a logger writes to: `logging`, and a function of the user's."""

    def __init__(self, logger: logging.Logger | None, level: str | None, sink: Sink | None) -> None:
        self.logger, self._sink = logger, sink
        self._level = logging.getLevelNamesMapping().get(level.upper()) if level is not None else None
        if level is not None and self._level is None:
            raise BrokerOptionsError(f"log_level={level!r} is not one of debug, info, warning, error, None")

    def say(self, text: str, told: Mapping[str, Any], shown: Iterable[str] = ()) -> None:
        """Writes a line, with those of the facts that are to be shown in it."""
        if self._level is not None and self.logger is not None:
            facts = "".join(f" {name}={told[name]!r}" for name in shown if told.get(name) is not None)
            self.logger.log(self._level, "%s%s", text, facts)
        if self._sink is not None:
            self._sink(told)


class ActionLogger:
    """Logs calls that are made here, and what comes of them.

    Args:
        log_params, log_response, log_meta: whether these are shown. They may hold what nobody should read in a log.
        whitelist: patterns of the actions to log.
        logger: where; the broker's own unless given.
        log_level: how loud; `None`: not at all, for the sink alone.
        sink: called for each line with `{"kind": "request" | "response" | "error", "action", …}` and, where shown,
            `params`, `meta` or `response`.

    Raises:
        BrokerOptionsError: there is no such level.
    """

    def __init__(
        self,
        *,
        log_params: bool = False,
        log_response: bool = False,
        log_meta: bool = False,
        whitelist: Iterable[str] = ("**",),
        logger: logging.Logger | None = None,
        log_level: str | None = "info",
        sink: Sink | None = None,
    ) -> None:
        self._params, self._response, self._meta = log_params, log_response, log_meta
        self._whitelist = tuple(whitelist)
        self._log = _Log(logger, log_level, sink)

    def created(self, broker: Any) -> None:
        """Takes the broker's logger."""
        self._log.logger = self._log.logger or broker.get_logger("debug")

    def call(self, next: Call) -> Call:
        """Calls, with what happens logged."""

        async def logged(action: str, params: Any, options: dict[str, Any]) -> Any:
            if not any(matches(pattern, action) for pattern in self._whitelist):
                return await next(action, params, options)
            told: dict[str, Any] = {"kind": "request", "action": action}
            if self._params:
                told["params"] = params
            if self._meta:
                told["meta"] = options.get("meta")
            self._log.say(f"calling {action}", told, ("params", "meta"))
            try:
                response = await next(action, params, options)
            except Exception as error:
                self._log.say(f"{action} has failed: {error!r}", {"kind": "error", "action": action, "error": error})
                raise
            told = {"kind": "response", "action": action, **({"response": response} if self._response else {})}
            self._log.say(f"{action} has answered", told, ("response",))
            return response

        return logged


class TransitLogger:
    """Logs packets. Its place among the middlewares decides what it sees: packets themselves, or what those that
    compress and encrypt have made of them. The engine calls it on its own threads.

    Args:
        log_packet_data: whether packets are shown, too, where they are in JSON.
        packet_filter: commands that are not logged.
        logger: where; the broker's own unless given.
        log_level: how loud; `None`: not at all, for the sink alone.
        sink: called for each packet with `{"kind": "send" | "receive", "command", "target" | "sender", …}` and, where
            shown, `packet`.

    Raises:
        BrokerOptionsError: there is no such level.
    """

    def __init__(
        self,
        *,
        log_packet_data: bool = False,
        packet_filter: Iterable[str] = ("HEARTBEAT",),
        logger: logging.Logger | None = None,
        log_level: str | None = "info",
        sink: Sink | None = None,
    ) -> None:
        self._data, self._filter = log_packet_data, frozenset(packet_filter)
        self._log = _Log(logger, log_level, sink)
        self._prefix = "MOL."

    def created(self, broker: Any) -> None:
        """Takes the broker's logger, and the prefix of its topics."""
        self._log.logger = self._log.logger or broker.get_logger("debug")
        self._prefix = broker.topic_prefix + "."

    def transporter_send(self, next: Change) -> Change:
        """Sends, logged."""

        def send(topic: str, data: bytes) -> bytes:
            command, _, target = topic.removeprefix(self._prefix).partition(".")
            if command not in self._filter:
                told = {"kind": "send", "command": command, "target": target or None, "size": len(data)}
                self._log.say(f"=> {command} to {target or 'all'}, {len(data)} bytes", *self._shown(told, data))
            return next(topic, data)

        return send

    def transporter_receive(self, next: Change) -> Change:
        """Receives, logged."""

        def receive(topic: str, data: bytes) -> bytes:
            command = topic.removeprefix(self._prefix).partition(".")[0]
            if command not in self._filter:
                told = {"kind": "receive", "command": command, "sender": _sender(data), "size": len(data)}
                text = f"<= {command} from {told['sender'] or 'a node'}, {len(data)} bytes"
                self._log.say(text, *self._shown(told, data))
            return next(topic, data)

        return receive

    def _shown(self, told: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[str, ...]]:
        return ({**told, "packet": _read(data)}, ("packet",)) if self._data else (told, ())


def _read(data: bytes) -> Any:
    """The packet's JSON; its bytes when it is not in JSON."""
    try:
        return json.loads(data)
    except ValueError:
        return data


def _sender(data: bytes) -> str | None:
    packet = _read(data)
    return packet.get("sender") if isinstance(packet, dict) else None
