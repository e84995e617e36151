"""Hooks around actions: their order, what they are called with, and what becomes of what they return."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable
from typing import Any

import pytest
from ironbridge.mesh import (
    BaseService,
    Broker,
    Context,
    MoleculerError,
    ServiceNotFoundError,
    ServiceSchemaError,
    action,
)

from mesh.meeting import Meeting
from mesh.peers import JsError


def tag(word: str) -> Callable[[Context], None]:
    def before(ctx: Context) -> None:
        ctx.params = {"seen": [*(ctx.params.get("seen") or ()), word]}

    return before


def tagged(word: str) -> Callable[..., list[str]]:
    return lambda _ctx, result: [*result, word]


def added(word: str) -> Callable[[Context, Exception], None]:
    def failed(_ctx: Context, error: Exception) -> None:
        raise MoleculerError(f"{error}, {word}")

    return failed


async def handler(ctx: Context) -> list[str]:
    return [*ctx.params["seen"], "handler"]


async def fails(_ctx: Context) -> None:
    raise MoleculerError("failed")


# What the peers' own service `hooked` is (`js/services/guarded.js`).
HOOKED: dict[str, Any] = {
    "name": "ours",
    "mixins": [
        {
            "hooks": {
                "before": {"*": tag("mixin *"), "order": tag("mixin order"), "or*|x": tag("mixin or*|x")},
                "after": {"*": tagged("mixin *"), "order": tagged("mixin order")},
                "error": {"*": added("mixin *")},
            }
        }
    ],
    "hooks": {
        "before": {"*": [tag("* one"), tag("* two")], "order": tag("order")},
        "after": {"*": tagged("*"), "order": [tagged("order one"), tagged("order two")]},
        "error": {"*": added("*"), "fails": added("fails")},
    },
    "actions": {
        "order": {"hooks": {"before": tag("action"), "after": tagged("action")}, "handler": handler},
        "fails": {"hooks": {"error": added("action")}, "handler": fails},
    },
}


async def test_hooks_run_in_moleculers_order(at_redis: Meeting) -> None:
    peer = at_redis.js("4", "theirs", services=["hooked"])
    broker = Broker("ours", transporter=at_redis.url, namespace=at_redis.namespace)
    broker.create_service(HOOKED)
    async with broker:
        await to_thread(peer.ask, "waitForServices", services=["ours"])
        told = await to_thread(peer.call, "hooked.order", {})
        assert await broker.call("ours.order") == await to_thread(peer.call, "ours.order", {}) == told
        with pytest.raises(JsError) as theirs:
            await to_thread(peer.call, "hooked.fails", {})
        with pytest.raises(MoleculerError) as ours:
            await broker.call("ours.fails")
        assert ours.value.message == theirs.value.message == "failed, action, fails, *, mixin *"


class Greeter(BaseService):
    """A service whose hooks are its methods, by their names."""

    name = "greeter"
    hooks = {  # noqa: RUF012
        "before": {"hello|good*": ["trim", "check"], "*": "count"},
        "after": {"*": "shout"},
        "error": {"fails": "instead"},
    }

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self.calls = 0

    def count(self, _ctx: Context) -> None:
        self.calls += 1

    async def trim(self, ctx: Context) -> None:
        ctx.params["name"] = ctx.params["name"].strip()

    def check(self, ctx: Context) -> None:
        if not ctx.params["name"]:
            raise ValueError("no name")

    def shout(self, _ctx: Context, result: str) -> str:
        return result + "!"

    async def instead(self, _ctx: Context, error: Exception) -> str:
        return f"instead of {error}"

    @action()
    async def hello(self, params: dict[str, str]) -> str:
        return f"Hello, {params['name']}"

    @action()
    async def goodbye(self, params: dict[str, str]) -> str:
        return f"Goodbye, {params['name']}"

    @action()
    def plain(self, params: dict[str, str]) -> str:
        return f"[{params['name']}]"

    @action()
    async def fails(self, params: dict[str, str]) -> str:
        raise ValueError("a failure")


async def test_methods_are_hooks_by_their_names_for_the_actions_that_a_pattern_means(namespace: str) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace)
    greeter = Greeter(broker)
    async with broker:
        assert await broker.call("greeter.hello", {"name": " Alice "}) == "Hello, Alice!"
        assert await broker.call("greeter.goodbye", {"name": " Alice "}) == "Goodbye, Alice!"
        assert await broker.call("greeter.plain", {"name": " Alice "}) == "[ Alice ]!"
        assert greeter.calls == 3


async def test_what_an_error_hook_returns_is_the_answer_and_a_hook_before_can_refuse(namespace: str) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace)
    Greeter(broker)
    async with broker:
        assert await broker.call("greeter.fails", {"name": "x"}) == "instead of a failure"
        with pytest.raises(ValueError, match="no name"):
            await broker.call("greeter.hello", {"name": " "})


async def test_own_actions_are_called_with_their_hooks_too(namespace: str) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace)
    greeter = Greeter(broker)
    async with broker:
        assert await greeter.actions.hello({"name": " Bob"}) == "Hello, Bob!"


def test_a_hook_that_is_no_method_is_refused_when_the_service_is_made(namespace: str) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace)
    with pytest.raises(ServiceSchemaError, match="'chekc', a hook of 'act'"):
        broker.create_service({"name": "wrong", "hooks": {"before": {"act": "chekc"}}, "actions": {"act": handler}})
    assert broker.get_local_service("wrong") is None


async def test_the_error_handler_sees_calls_that_nobody_serves(namespace: str) -> None:
    def handle(error: Exception, info: dict[str, Any]) -> Any:
        if isinstance(error, ServiceNotFoundError):
            return f"nobody serves {info['action_name']} with {info['ctx'].params}"
        raise error

    async with Broker("one", transporter="memory", namespace=namespace, error_handler=handle) as broker:
        assert await broker.call("no.such", {"a": 1}) == "nobody serves no.such with {'a': 1}"
        assert await broker.call("no.such", fallback_response="mine") == "mine"


@pytest.mark.parametrize(("cloning", "seen"), [(True, [1]), (False, [1, 2])])
async def test_parameters_are_copied_for_actions_when_that_is_wanted(
    namespace: str, cloning: bool, seen: list[int]
) -> None:
    async def grow(ctx: Context) -> int:
        ctx.params["list"].append(2)
        return len(ctx.params["list"])

    options: dict[str, Any] = {"transporter": "memory", "namespace": namespace, "context_params_cloning": cloning}
    async with Broker("one", **options) as broker:
        broker.create_service({"name": "it", "actions": {"grow": grow}})
        await broker.wait_for_services(["it"], 5000)
        params = {"list": [1]}
        assert await broker.call("it.grow", params) == 2
        assert params["list"] == seen
