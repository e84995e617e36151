"""A service's life in one process: hooks, actions, tasks, and every way in which it ends."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from ironbridge.hub import (
    ConfigurationError,
    DeadlineExceeded,
    MicroService,
    RemoteExecutionError,
    ServiceUnavailable,
)

from hub.face import DEADLINE, Listener, Told, known, place, running, until

User = contextvars.ContextVar("User", default="nobody")


class Worker:
    """Whatever a test has it do."""

    def __init__(self) -> None:
        self.told = Told()
        self.go = asyncio.Event()

    @MicroService.action
    async def echo(self, service: str, data: Any) -> Any:
        return data

    @MicroService.action(name="plain one")
    def plain(self, service: str, data: Any) -> Any:
        MicroService.of(self).from_thread(self.send_broadcast("from a thread"), 5)  # type: ignore[attr-defined]
        return [threading.current_thread() is threading.main_thread(), User.get()]

    @MicroService.action
    async def fail(self, service: str, data: Any) -> None:
        raise ValueError(data)

    @MicroService.action
    async def wait(self, service: str, data: Any) -> str:
        self.told("waits")
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.told("cancelled")
            raise
        self.told("went")
        return "waited"

    async def on_error(self, error: BaseException, where: str) -> None:
        self.told("error", type(error).__name__, where)


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_two_services_talk_in_every_way(tmp_path: Path, transport: str) -> None:
    at = place(tmp_path, transport)
    listener = Listener()
    worker, heard = MicroService(Worker(), **at), MicroService(listener, **at)
    async with running(worker, heard):
        await listener.told.wait("connect")
        await listener.told.wait(("new", "Worker", ["echo", "fail", "plain one", "wait"]))
        await worker.send_broadcast({"n": 1})
        await listener.told.wait(("broadcast", "Worker", {"n": 1}))
        await worker.response("Listener", [1, "two", None])
        await listener.told.wait(("response", "Worker", [1, "two", None]))
        assert await heard.call("echo", {"é": [1.5]}) == {"é": [1.5]}
        assert await heard.request_action("echo", 3) is None
        assert await heard.request_action("echo", 3, timeout=5) == 3
        assert await heard.call_all("echo", "all") == [("Worker", "all")]
    assert sum(told == "connect" for told in listener.told.all) == 1


async def test_a_leaving_service_is_lost_to_the_others(tmp_path: Path) -> None:
    listener = Listener()
    async with running(MicroService(listener, **place(tmp_path))):
        async with running(MicroService(Worker(), **place(tmp_path))):
            await listener.told.wait(lambda told: told[:2] == ("new", "Worker"))
        await listener.told.wait(("lost", "Worker"))


async def test_the_instance_is_told_to_a_hook_that_wants_it(tmp_path: Path) -> None:
    told = Told()

    class Watcher:
        def on_service_lost(self, service: str, instance: str) -> None:
            told(service, len(instance))

    async with running(MicroService(Watcher(), **place(tmp_path))):
        async with running(MicroService(Worker(), **place(tmp_path))):
            pass
        await told.wait(("Worker", 16))


async def test_a_plain_action_runs_on_a_thread_in_the_services_context(tmp_path: Path) -> None:
    User.set("me")
    listener = Listener()
    heard, worker = MicroService(listener, **place(tmp_path)), MicroService(Worker(), **place(tmp_path))
    async with running(heard, worker):
        assert await heard.call("plain one") == [False, "me"]
        await listener.told.wait(("broadcast", "Worker", "from a thread"))


async def test_a_failing_action_is_logged_told_and_raised_at_its_caller(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker()
    heard = MicroService(Listener(), **place(tmp_path))
    async with running(MicroService(worker, **place(tmp_path)), heard):
        with pytest.raises(ValueError, match="too bad") as raised:
            await heard.call("fail", "too bad")
        assert isinstance(raised.value, RemoteExecutionError)
        assert "in fail" in raised.value.remote_traceback
        await worker.told.wait(lambda told: told[:2] == ("error", "ValueError") and "fail" in told[2])
    record = next(one for one in caplog.records if one.levelno == logging.ERROR)
    assert record.name == "ironbridge.hub.Worker"
    assert record.exc_info and str(record.exc_info[1]) == "too bad"
    assert caplog.text.count("raise ValueError(data)") == 1


async def test_a_broken_on_error_is_logged_and_harms_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Worker):
        async def on_error(self, error: BaseException, where: str) -> None:
            raise RuntimeError("worse")

    heard = MicroService(Listener(), **place(tmp_path))
    async with running(MicroService(Broken(), **place(tmp_path)), heard):
        with pytest.raises(ValueError, match="bad"):
            await heard.call("fail", "bad")
        assert await heard.call("echo", 1) == 1
    assert "on_error itself failed: RuntimeError: worse" in caplog.text


async def test_a_failing_task_starts_again_and_one_that_returns_is_done(tmp_path: Path) -> None:
    told = Told()

    class Busy:
        @MicroService.task
        async def work(self) -> None:
            told("began")
            if len(told.all) < 6:
                raise OSError("no")
            told("done")

        @MicroService.task
        async def cancelled_inside(self) -> None:
            inner = asyncio.ensure_future(asyncio.sleep(0))
            inner.cancel()
            await inner

        @MicroService.task
        def plain(self) -> None:
            told("plain", threading.current_thread() is threading.main_thread())

        def on_error(self, error: BaseException, where: str) -> None:
            told(type(error).__name__, where)

    service = MicroService(Busy(), **place(tmp_path), restart=(0.001, 0.01))
    async with running(service):
        await told.wait("done")
        await told.wait(("plain", False))
        await told.wait(("CancelledError", 'task "cancelled_inside"'))
        began = told.all.count("began")
        assert told.all.count(("OSError", 'task "work"')) == began - 1
    assert told.all.count("began") == began


async def test_pauses_before_a_task_starts_again_grow_to_their_bound(tmp_path: Path) -> None:
    clock = asyncio.get_running_loop().time
    told = Told()

    class Busy:
        @MicroService.task
        async def work(self) -> None:
            told(clock())
            raise OSError

    async with running(MicroService(Busy(), **place(tmp_path), restart=(0.02, 0.08))):
        await told.wait(lambda _: len(told.all) == 6)
    pauses = [after - before for before, after in zip(told.all, told.all[1:], strict=False)]
    for pause, least in zip(pauses, (0.01, 0.02, 0.04, 0.04, 0.04), strict=True):
        assert pause >= least
    assert pauses[0] < 0.04 + 0.1


async def test_tasks_are_cancelled_at_the_end_and_left_out_when_not_enabled(tmp_path: Path) -> None:
    told = Told()

    class Busy:
        @MicroService.task
        async def work(self) -> None:
            told("began")
            try:
                await asyncio.Event().wait()
            finally:
                told("ended")

        async def on_connect(self) -> None:
            told("connect")

    service = MicroService(Busy(), **place(tmp_path))
    ran = asyncio.create_task(service.run())
    await told.wait("began")
    await service.stop()
    await asyncio.wait_for(ran, DEADLINE)
    assert told.all.count("ended") == 1
    told.all.clear()
    ran = asyncio.create_task(service.run(enable_tasks=False))
    await told.wait("connect")
    await service.stop()
    await asyncio.wait_for(ran, DEADLINE)
    assert told.all == ["connect"]


@pytest.mark.parametrize("way", ["stop", "stop from a thread", "cancel", "end of the block"])
async def test_a_running_handler_may_finish_however_the_service_ends(tmp_path: Path, way: str) -> None:
    worker = Worker()
    service, heard = MicroService(worker, **place(tmp_path)), MicroService(Listener(), **place(tmp_path))
    async with running(heard):
        if way == "end of the block":

            async def block() -> None:
                async with service:
                    await worker.told.wait("waits")

            ran = asyncio.create_task(block())
        else:
            ran = asyncio.create_task(service.run())
        await known(heard, "Worker")
        call = asyncio.create_task(heard.call("wait", timeout=DEADLINE))
        await worker.told.wait("waits")
        if way == "stop":
            service.stop()
        elif way == "stop from a thread":
            threading.Thread(target=service.stop).start()
        elif way == "cancel":
            ran.cancel()
        await until(lambda: service.stopping)
        assert not ran.done()
        worker.go.set()
        assert await call == "waited"
        if way == "cancel":
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(ran, DEADLINE)
        else:
            await asyncio.wait_for(ran, DEADLINE)
    assert worker.told.all == ["waits", "went"]


async def test_a_handler_is_cancelled_when_the_grace_is_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker()
    service, heard = MicroService(worker, **place(tmp_path)), MicroService(Listener(), **place(tmp_path))
    async with running(heard, service):
        call = asyncio.create_task(heard.call("wait", timeout=DEADLINE))
        await worker.told.wait("waits")
        await service.stop(grace=0.05)
        await worker.told.wait("cancelled")
        with pytest.raises(RemoteExecutionError, match="CancelledError"):
            await call
    assert "1 handlers cancelled" in caplog.text


async def test_a_handler_may_end_its_own_service(tmp_path: Path) -> None:
    class Ending:
        @MicroService.action
        async def end(self, service: str, data: Any) -> str:
            MicroService.of(self).stop()
            return "ending"

    service, heard = MicroService(Ending(), **place(tmp_path)), MicroService(Listener(), **place(tmp_path))
    async with running(heard):
        ran = asyncio.create_task(service.run())
        await known(heard, "Ending")
        assert await heard.call("end") == "ending"
        await asyncio.wait_for(ran, DEADLINE)
        await until(lambda: not heard.services())


async def test_a_service_that_has_ended_is_let_go_of(tmp_path: Path) -> None:
    worker = Worker()
    service = MicroService(worker, **place(tmp_path))
    async with running(service):
        pass
    gone: list[weakref.ref[Any]] = [weakref.ref(worker), weakref.ref(service)]
    del worker, service
    gc.collect()
    assert [one() for one in gone] == [None, None]


async def test_stop_is_awaited_from_another_thread_too(tmp_path: Path) -> None:
    service = MicroService(Worker(), **place(tmp_path))
    assert service.stop().wait(0)
    assert service.stopping
    async with running(service):
        assert not service.stopping
        assert await asyncio.to_thread(lambda: service.stop().wait(DEADLINE))
        assert service.stopping
        with pytest.raises(ServiceUnavailable):
            await service.send_broadcast("too late")
    assert service.stop().wait(0)


async def test_it_runs_again_after_its_end_but_not_twice_at_once(tmp_path: Path) -> None:
    service, heard = MicroService(Worker(), **place(tmp_path)), MicroService(Listener(), **place(tmp_path))
    async with running(heard):
        for number in range(3):
            async with running(service):
                assert await heard.call("echo", number) == number
                with pytest.raises(ConfigurationError, match="'Worker' runs already"):
                    await service.run()


async def test_a_service_that_does_not_run_says_so(tmp_path: Path) -> None:
    service = MicroService(Worker(), **place(tmp_path))
    for send in (service.send_broadcast(1), service.call("echo"), service.response("X", 1), service.call_all("x")):
        with pytest.raises(ServiceUnavailable, match="'Worker' does not run"):
            await send
    with pytest.raises(ServiceUnavailable, match="'Worker' does not run"):
        service.services()
    with pytest.raises(ServiceUnavailable, match="'Worker' does not run"):
        service.from_thread(service.call("echo"))
    assert service.stats()["sent"] == 0


async def test_stopping_while_there_is_no_hub_ends_the_wait(tmp_path: Path) -> None:
    service = MicroService(Worker(), **place(tmp_path), hub="never")
    ran = asyncio.create_task(service.run())
    await until(lambda: not service.stopping)
    await service.stop()
    await asyncio.wait_for(ran, DEADLINE)


async def test_from_thread_has_a_deadline(tmp_path: Path) -> None:
    service = MicroService(Worker(), **place(tmp_path))
    async with running(service):
        with pytest.raises(DeadlineExceeded, match=r"within 0\.01 s"):
            await asyncio.to_thread(lambda: service.from_thread(asyncio.sleep(60), 0.01))


async def test_debug_logs_each_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "ironbridge.hub")
    worker = MicroService(Worker(), **place(tmp_path), debug=True)
    listener = Listener()
    heard = MicroService(listener, **place(tmp_path))
    async with running(worker, heard):
        await heard.call("echo", "x" * 500)
        await worker.send_broadcast("to all")
        await listener.told.wait(("broadcast", "Worker", "to all"))
        await heard.send_broadcast("nobody minds")
        await until(lambda: "nobody minds" in caplog.text)
    lines = [one.getMessage() for one in caplog.records if one.name == "ironbridge.hub.Worker"]
    assert f"received echo('Listener', '{'x' * 199}… (502 characters))" in lines
    assert "sending broadcast: 'to all'" in lines
    assert "received broadcast('Listener', 'nobody minds')" in lines


async def test_what_a_service_knows_and_counts(tmp_path: Path) -> None:
    worker, heard = MicroService(Worker(), **place(tmp_path)), MicroService(Listener(), **place(tmp_path))
    async with running(worker, heard):
        (one,) = heard.services()
        assert one["name"] == "Worker"
        assert one["actions"] == ["echo", "fail", "plain one", "wait"]
        assert one["native"] and one["instance"] is not None and len(one["instance"]) == 16
        assert 0 <= one["last_seen"] < 60
        before = heard.stats()["sent"]
        await heard.send_broadcast(None)
        await until(lambda: heard.stats()["sent"] > before)
    assert heard.stats()["sent"] == before + 1  # the last run's counts stay
