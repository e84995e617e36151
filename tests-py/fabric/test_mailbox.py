"""What engine threads tell Python: in batches to an event loop, one value to a caller who blocks."""

from __future__ import annotations

import asyncio
import os
import select
import textwrap
import threading
import time

import pytest
from harness import Program, lenient, wait_until
from ironbridge._engine import _Mailbox, _Slot

PATIENCE = 10.0


def _rings(mailbox: _Mailbox) -> bool:
    return bool(select.select([mailbox.fileno()], [], [], 0)[0])


def test_a_batch_rings_once_and_comes_in_order() -> None:
    mailbox = _Mailbox()
    assert not _rings(mailbox)
    assert mailbox.drain() == []
    for number in range(100):
        assert mailbox.push(number)
    assert os.read(os.dup(mailbox.fileno()), 8) == (1).to_bytes(8, "little")
    assert mailbox.drain() == list(range(100))
    assert not _rings(mailbox)
    assert mailbox.push("next")
    assert _rings(mailbox)
    assert mailbox.drain() == ["next"]


async def test_a_loop_misses_nothing_of_what_threads_push() -> None:
    mailbox, loop = _Mailbox(), asyncio.get_running_loop()
    seen: list[tuple[int, int]] = []
    all_seen = asyncio.Event()

    def take() -> None:
        seen.extend(mailbox.drain())
        if len(seen) == 8 * 2_000:
            all_seen.set()

    def push(thread: int) -> None:
        for number in range(2_000):
            assert mailbox.push((thread, number))

    loop.add_reader(mailbox.fileno(), take)
    threads = [threading.Thread(target=push, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    await asyncio.wait_for(all_seen.wait(), PATIENCE)
    loop.remove_reader(mailbox.fileno())
    for thread in threads:
        thread.join()
    for number in range(8):
        assert [item for thread, item in seen if thread == number] == list(range(2_000))


def test_it_tells_since_when_the_first_item_waits() -> None:
    mailbox = _Mailbox()
    assert mailbox.oldest_waiting() is None
    began = time.monotonic()
    mailbox.push(1)
    first = mailbox.oldest_waiting()
    mailbox.push(2)
    second = mailbox.oldest_waiting()
    assert first is not None
    assert second is not None
    assert 0 <= first < second <= time.monotonic() - began
    mailbox.drain()
    assert mailbox.oldest_waiting() is None


def test_a_closed_box_gives_back_what_nobody_took_and_takes_no_more() -> None:
    mailbox = _Mailbox()
    mailbox.push(1)
    assert mailbox.close() == [1]
    assert not mailbox.push(2)
    assert (mailbox.drain(), mailbox.close(), mailbox.oldest_waiting()) == ([], [], None)


def test_a_forked_childs_box_is_closed_and_wakes_nobody_of_its_parents() -> None:
    text = """
        import os, select
        from ironbridge._engine import _Mailbox
        mailbox = _Mailbox()
        mailbox.push(1)
        assert mailbox.drain() == [1]
        child = os.fork()
        if not child:
            assert not mailbox.push(2)
            assert mailbox.drain() == []
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not select.select([mailbox.fileno()], [], [], 0)[0]
        assert mailbox.push(3) and mailbox.drain() == [3]
        """
    with Program.python(textwrap.dedent(text)) as running:
        assert running.wait_exit(20) == 0, running.output


def test_a_value_reaches_who_waits_and_who_comes_later() -> None:
    slot = _Slot()
    threading.Timer(0.01, slot.fill, args=("value",)).start()
    assert slot.wait(PATIENCE) == "value"
    slot = _Slot()
    assert slot.fill("value")
    assert not slot.fill("another")
    assert slot.wait() == "value"


def test_a_wait_ends_in_time_and_what_comes_then_is_not_taken() -> None:
    slot = _Slot()
    began = time.monotonic()
    assert slot.wait(0.02) is None
    assert 0.02 <= time.monotonic() - began < lenient(1)
    assert not slot.fill("late")
    assert _Slot().wait(0) is None


def test_other_threads_run_during_a_wait_in_any_thread() -> None:
    slots, values = [_Slot() for _ in range(8)], []
    threads = [threading.Thread(target=lambda slot=slot: values.append(slot.wait())) for slot in slots]
    for thread in threads:
        thread.start()
    for number, slot in enumerate(slots):
        slot.fill(number)
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(values) == list(range(8))


@pytest.mark.parametrize("timeout", ["", "60"])
def test_ctrl_c_ends_the_wait(timeout: str) -> None:
    text = f"""
        from ironbridge._engine import _Slot
        slot = _Slot()
        print("waits")
        try:
            slot.wait({timeout})
        except KeyboardInterrupt:
            print("interrupted", slot.fill(1))
        """
    with Program.python(textwrap.dedent(text)) as running:
        running.wait_line("waits")
        wait_until(running.waits)
        running.interrupt()
        running.wait_line("interrupted False")
        assert running.wait_exit(10) == 0, running.output
