"""What an asynchronous call returns: wherever asyncio takes a future, or a coroutine, it takes this."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import ironbridge.bridge as meta
import pytest
import uvloop


class Echo:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.cancelled = 0

    @meta.function
    def plain(self, value: Any) -> Any:
        return value

    @meta.function
    async def later(self, value: Any, seconds: float = 0.02) -> Any:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return value

    @meta.function
    def count(self) -> int:
        return self.cancelled

    @meta.function
    def fail(self, name: str) -> None:
        raise {"stop": StopIteration, "value": ValueError, "stop_async": StopAsyncIteration}[name](name)


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    meta.create("echo").daemon()(Echo)
    with meta.run("echo"):
        yield "echo"


Factory = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=["asyncio", "uvloop", "debugged"])
def factory(request: pytest.FixtureRequest) -> Factory:
    """The loops that a program may run."""
    return uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop


@pytest.fixture
def run(factory: Factory, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Runs a coroutine function with a connected client."""
    debug = "debugged" in request.node.name

    def run(main: Callable[[Any], Any]) -> Any:
        async def connected() -> Any:
            async with meta.connect_async("echo") as client:
                return await main(client)

        with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
            return runner.run(connected())

    return run


pytestmark = pytest.mark.usefixtures("echo")
Run = Callable[..., Any]


def test_it_is_a_future_and_a_coroutine(run: Run) -> None:
    async def main(client: Any) -> None:
        reply = client.later(1)
        assert asyncio.isfuture(reply) and asyncio.iscoroutine(reply)
        assert asyncio.ensure_future(reply) is reply
        assert reply.get_loop() is asyncio.get_running_loop()
        assert (reply.done(), reply.cancelled(), repr(reply)) == (False, False, "<Reply pending>")
        with pytest.raises(asyncio.InvalidStateError):
            reply.result()
        with pytest.raises(asyncio.InvalidStateError):
            reply.exception()
        assert await reply == 1
        assert await reply == 1
        assert (reply.done(), reply.result(), reply.exception()) == (True, 1, None)
        assert repr(reply) == "<Reply finished>"
        assert not reply.cancel()
        assert weakref.ref(reply)() is reply

    run(main)


@pytest.mark.parametrize("value", [None, (), (1, 2), ("a",), [3]])
def test_any_value_comes_back_from_an_await(run: Run, value: Any) -> None:
    async def main(client: Any) -> None:
        got = await client.plain(value)
        assert repr(got) == repr(value) and type(got) is type(value)
        reply = client.plain(value)
        await asyncio.gather(reply)
        assert repr(await reply) == repr(value)

    run(main)


def test_asyncio_takes_it_wherever_it_takes_a_future(run: Run) -> None:
    async def main(client: Any) -> None:
        assert await asyncio.gather(*(client.plain(n) for n in range(50)), client.later("last")) == [*range(50), "last"]
        assert await asyncio.wait_for(client.later(2), 30) == 2
        assert await asyncio.shield(client.later(3)) == 3
        async with asyncio.timeout(30):
            assert await client.later(6) == 6
        assert sorted([await one for one in asyncio.as_completed([client.later(4), client.later(5)])]) == [4, 5]
        results = await asyncio.gather(client.fail("value"), client.plain(9), return_exceptions=True)
        assert isinstance(results[0], ValueError) and results[1] == 9

    run(main)


def test_asyncio_takes_it_wherever_it_takes_a_coroutine(run: Run) -> None:
    async def main(client: Any) -> None:
        assert await asyncio.create_task(client.later(1)) == 1
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.later(n)) for n in range(3)]
        assert [task.result() for task in tasks] == [0, 1, 2]
        task = asyncio.create_task(client.later(2, 60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        failing = asyncio.create_task(client.fail("value"))
        with pytest.raises(ValueError, match="value"):
            await failing

    run(main)


def test_whoever_waits_for_a_call_that_is_cancelled_hears_of_it(run: Run) -> None:
    async def main(client: Any) -> None:
        await client.later("the connection is open")
        before = await client.count()

        async def wait(reply: Any) -> str:
            try:
                await reply
            except asyncio.CancelledError as error:
                return f"cancelled {error.args}"
            return "answered"

        reply = client.later(1, 60)
        waiting = [asyncio.create_task(wait(reply)) for _ in range(3)]
        await asyncio.sleep(0)
        assert reply.cancel("enough") and reply.cancelled()
        assert await asyncio.gather(*waiting) == ["cancelled ('enough',)"] * 3
        with pytest.raises(asyncio.CancelledError, match="enough"):
            reply.exception()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.gather(client.plain(1), reply)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.later(2, 60), 0.05)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.later(3, 60)
        async with asyncio.timeout(30):
            while await client.count() < before + 3:
                await client.later("once more", 0)

    run(main)


def test_closing_cancels_what_nobody_awaits(run: Run) -> None:
    async def main(client: Any) -> None:
        alone, awaited = client.later(1, 60), client.later(2)
        task = asyncio.create_task(asyncio.wait_for(awaited, 30))
        await asyncio.sleep(0)
        alone.close()
        awaited.close()
        assert alone.cancelled()
        assert await task == 2
        awaited.close()

    run(main)


def test_a_shielded_call_goes_on(run: Run) -> None:
    async def main(client: Any) -> None:
        inner = client.later("kept", 0.1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(inner), 0.01)
        assert await inner == "kept"

    run(main)


def test_callbacks_are_called_by_the_loop_with_the_reply_in_their_context(run: Run) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[Any] = []

    def note(reply: Any) -> None:
        seen.append((reply.result(), variable.get()))

    def removed(reply: Any) -> None:
        seen.append("never")

    async def main(client: Any) -> None:
        variable.set("outer")
        reply = client.later(1)
        reply.add_done_callback(note)
        context = contextvars.copy_context()
        context.run(variable.set, "inner")
        reply.add_done_callback(note, context=context)
        reply.add_done_callback(removed)
        reply.add_done_callback(removed)
        assert reply.remove_done_callback(removed) == 2
        await reply
        await asyncio.sleep(0)
        reply.add_done_callback(note)
        assert len(seen) == 2
        await asyncio.sleep(0)
        assert seen == [(1, "outer"), (1, "inner"), (1, "outer")]

    run(main)


def test_a_callback_that_raises_is_told_to_the_loop(run: Run) -> None:
    async def main(client: Any) -> None:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))
        reply = client.plain(1)
        reply.add_done_callback(lambda _reply: 1 / 0)
        await reply
        await asyncio.sleep(0)
        assert [type(error) for error in told] == [ZeroDivisionError]

    run(main)


def test_each_task_goes_on_as_itself(run: Run) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    async def main(client: Any) -> None:
        async def work(number: int) -> None:
            variable.set(number)
            me = asyncio.current_task()
            for _ in range(20):
                assert await client.plain(number) == number
                assert variable.get() == number
                assert asyncio.current_task() is me
                assert asyncio.get_running_loop() is client.plain(0).get_loop()

        await asyncio.gather(*(work(number) for number in range(40)))

    run(main)


def test_tasks_cancel_each_other_between_their_replies(run: Run) -> None:
    async def main(client: Any) -> None:
        outcomes: list[str] = []

        async def work(number: int) -> None:
            try:
                await client.plain(number)
                outcomes.append("answered")
                for other in tasks:
                    if other is not asyncio.current_task():
                        other.cancel()
            except asyncio.CancelledError:
                outcomes.append("cancelled")
                raise

        tasks = [asyncio.create_task(work(number)) for number in range(20)]
        await asyncio.wait(tasks)
        # Each ended in one way; the first to be answered cancelled those that were not.
        assert len(outcomes) == 20 and "answered" in outcomes and "cancelled" in outcomes
        assert await client.plain("still there") == "still there"

    run(main)


def test_a_task_may_close_the_client_of_the_others(run: Run) -> None:
    async def main(client: Any) -> None:
        async def work(number: int) -> str:
            try:
                await client.plain(number)
                await client.close()
            except meta.ConnectionLost:
                return "lost"
            return "answered"

        outcomes = await asyncio.gather(*(work(number) for number in range(20)))
        assert set(outcomes) <= {"lost", "answered"} and "answered" in outcomes

    run(main)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_loop_ends_it_and_loses_no_reply(factory: Factory, ending: type[BaseException]) -> None:
    loop = factory()
    asyncio.set_event_loop(loop)
    answers: list[int] = []

    async def work(client: Any, number: int) -> None:
        await client.plain(number)
        if number == 3:
            raise ending
        answers.append(number)

    async def begin() -> Any:
        client = await meta.connect_async("echo")
        await client.plain(0)
        return client

    client = loop.run_until_complete(begin())
    tasks = [loop.create_task(work(client, number)) for number in range(10)]
    with pytest.raises(ending):
        loop.run_forever()
    loop.run_until_complete(asyncio.wait(tasks))
    assert sorted(answers) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert isinstance(tasks[3].exception(), ending)
    loop.run_until_complete(client.close())
    asyncio.set_event_loop(None)
    loop.close()


def test_the_loop_goes_on_while_calls_follow_each_other(run: Run) -> None:
    async def main(client: Any) -> None:
        ticks = 0

        def tick() -> None:
            nonlocal ticks
            ticks += 1
            loop.call_soon(tick)

        loop = asyncio.get_running_loop()
        loop.call_soon(tick)
        for number in range(500):
            assert await client.plain(number) == number
        # At least once in each tenth of a millisecond, and a call takes more than a microsecond.
        assert ticks >= 5

    run(main)


def test_an_exception_keeps_one_traceback_however_often_it_is_raised(run: Run) -> None:
    async def main(client: Any) -> None:
        def length(error: BaseException) -> int:
            steps, at = 0, error.__traceback__
            while at is not None:
                steps, at = steps + 1, at.tb_next
            return steps

        reply = client.fail("value")
        lengths = set()
        for _ in range(5):
            with pytest.raises(ValueError, match="value") as caught:
                await reply
            lengths.add(length(caught.value))
        assert len(lengths) == 1
        assert isinstance(reply.exception(), ValueError)

    run(main)


@pytest.mark.parametrize("name", ["stop", "stop_async"])
def test_an_exception_that_would_end_a_generator_is_an_error(run: Run, name: str) -> None:
    async def main(client: Any) -> None:
        with pytest.raises(meta.RemoteExecutionError):
            await client.fail(name)

    run(main)


def test_a_failure_that_nobody_has_seen_is_told(run: Run) -> None:
    async def main(client: Any) -> None:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
        seen, unseen = client.fail("value"), client.fail("value")
        while not (seen.done() and unseen.done()):
            await client.plain(0)
        assert isinstance(seen.exception(), ValueError)
        del seen, unseen
        gc.collect()
        assert [context["message"] for context in told] == ["Reply exception was never retrieved"]
        assert isinstance(told[0]["exception"], ValueError)

    run(main)


def test_a_reply_in_a_cycle_is_collected(run: Run) -> None:
    async def main(client: Any) -> None:
        class Holder:
            reply: Any

        holder = Holder()
        holder.reply = client.later(1)
        holder.reply.add_done_callback(lambda _reply, _kept=holder: None)
        await holder.reply
        failed = client.fail("value")
        with pytest.raises(ValueError, match="value"):
            await failed
        failed.exception().reply = failed
        gone = [weakref.ref(holder), weakref.ref(holder.reply), weakref.ref(failed)]
        del holder, failed
        await asyncio.sleep(0)
        gc.collect()
        assert [one() for one in gone] == [None] * 3

    run(main)


def test_a_one_way_call_is_done_at_once(run: Run) -> None:
    async def main(client: Any) -> None:
        await client.plain(0)
        reply = client.with_options(one_way=True).plain(1)
        assert reply.done() and await reply is None

    run(main)


def test_a_generator_may_step_it_by_hand(run: Run) -> None:
    async def main(client: Any) -> None:
        class ByHand:
            def __init__(self, reply: Any) -> None:
                self.reply = reply

            def __await__(self) -> Any:
                yield from iter(self.reply)
                return self.reply.result()

        assert await ByHand(client.later(1)) == 1
        with pytest.raises(ValueError, match="value"):
            await ByHand(client.fail("value"))
        reply = client.later(2)
        assert reply.send(None) is reply
        with pytest.raises(KeyError):
            reply.throw(KeyError("thrown"))
        with pytest.raises(KeyError):
            reply.throw(KeyError, "thrown")
        reply._asyncio_future_blocking = False
        assert await reply == 2

    run(main)
