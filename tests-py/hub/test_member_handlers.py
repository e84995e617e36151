"""What a member's own code may be and do: plain, awaitable, failing, ending the service or the program."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ironbridge.errors import RemoteExecutionError

from hub.face import until
from hub.member import Ground, answer, meet


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with Ground(tmp_path) as ground:
        ground.start_hub()
        yield ground


def a_future(service: str, data: Any) -> Awaitable[Any]:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, data)
    return future


def a_task(service: str, data: Any) -> Awaitable[Any]:
    return asyncio.ensure_future(asyncio.sleep(0, data))


class Own:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Iterator[Any]:
        yield
        return self.value


async def a_coroutine(service: str, data: Any) -> Any:
    return data


@pytest.mark.parametrize(
    "action", [a_future, a_task, a_coroutine, lambda service, data: Own(data), lambda service, data: data]
)
async def test_whatever_an_action_gives_is_awaited_and_answered(
    ground: Ground, action: Callable[[str, Any], Any]
) -> None:
    await ground.join("Db", {"echo": action})
    caller = await ground.join("Caller")
    await meet(caller, "Db")
    assert await answer(caller.call("echo", {"x": [1, None]}, 5.0)) == {"x": [1, None]}


async def test_what_cannot_be_written_is_told_to_the_caller(ground: Ground) -> None:
    async def odd(service: str, data: Any) -> object:
        return object()

    failures: list[str] = []
    await ground.join("Db", {"odd": odd}, error=lambda error, where: failures.append(where))
    caller = await ground.join("Caller")
    await meet(caller, "Db")
    with pytest.raises(RemoteExecutionError, match="object"):
        await answer(caller.call("odd", None, 5.0))
    assert failures == ['action "odd"']


async def test_an_error_hook_that_fails_is_shown_and_called_no_more_for_that(
    ground: Ground, capfd: pytest.CaptureFixture[str]
) -> None:
    calls: list[str] = []

    async def broken(error: BaseException, where: str) -> None:
        calls.append(where)
        await asyncio.sleep(0)
        raise KeyError("the hook itself")

    def failing(service: str, data: Any) -> None:
        raise ValueError("first")

    member = await ground.join("Db", broadcast=failing, error=broken)
    with ground.stranger() as push:
        push.send(b'<b>:{"s":"A","d":1}')
        await until(lambda: member.stats()["failed"] == 2)
    assert calls == ["on_broadcast"]
    assert "KeyError: 'the hook itself'" in capfd.readouterr().err


@pytest.mark.parametrize("way", ["plain", "at once", "later"])
def test_a_handler_can_end_the_program(ground: Ground, way: str) -> None:
    def plain(service: str, data: Any) -> None:
        sys.exit(7)

    async def at_once(service: str, data: Any) -> None:
        sys.exit(7)

    async def later(service: str, data: Any) -> None:
        await asyncio.sleep(0)
        sys.exit(7)

    async def main() -> None:
        hook = {"plain": plain, "at once": at_once, "later": later}[way]
        await ground.join("Db", broadcast=hook, error=lambda error, where: pytest.fail("told as a failure"))
        with ground.stranger() as push:
            push.send(b'<b>:{"s":"A","d":1}')
            await asyncio.sleep(20)

    with asyncio.Runner() as runner, pytest.raises(SystemExit) as ended:
        runner.run(main())
    assert ended.value.code == 7


async def test_a_handler_can_close_its_service(ground: Ground) -> None:
    heard: list[Any] = []

    async def closing(service: str, data: Any) -> None:
        heard.append(data)
        member.close()

    member = await ground.join("Db", broadcast=closing)
    with ground.stranger() as push:
        for number in range(100):
            push.send(b'<b>:{"s":"A","d":%d}' % number)
        await until(lambda: bool(heard))
    await asyncio.sleep(0)
    assert heard == [0]
    assert not member.stats()["connected"]
