"""The client's surface: names, options, batches, descriptions, types, and programs that fork."""

from __future__ import annotations

import copy
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import ironbridge.bridge as meta
import pytest
from harness import Program

Start = Callable[..., Program]


class Shop:
    """Sells things."""

    def __init__(self, timeout: float = 1.0, api: str = "none", *, token: str = "") -> None:
        self.given = (timeout, api, token)

    @meta.function
    def options(self) -> tuple[float, str, str]:
        """What it was constructed with."""
        return self.given

    @meta.function
    def double(self, number: int) -> int:
        """Twice the number."""
        return 2 * number

    @meta.function
    async def later(self, number: int) -> int:
        return number + 1

    @meta.function
    def fail(self, text: str) -> None:
        raise ValueError(text)

    @meta.function
    def wait(self) -> None:
        threading.Event().wait()

    @meta.endpoint("stats")
    def its_own_stats(self) -> str:
        return "the endpoint's"

    @meta.function
    def close(self) -> str:
        return "the endpoint's close"

    @meta.endpoint("with space")
    def spaced(self) -> str:
        return "spaced"


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    meta.create("shop").daemon()(Shop)
    with meta.run("shop"):
        yield "shop"


@pytest.fixture
def client(shop: str) -> Iterator[meta.ServiceClient]:
    with meta.connect(shop) as connected:
        yield connected


def test_an_endpoint_is_found_once_and_then_is_an_attribute(client: meta.ServiceClient) -> None:
    assert client.double is client.double
    assert "double" in vars(client)
    assert client.double(4) == client.double(number=4) == 8
    assert client.later(4) == 5


def test_an_endpoint_that_is_not_there_is_an_attribute_error_with_a_hint(client: meta.ServiceClient) -> None:
    with pytest.raises(meta.EndpointNotFound, match='did you mean "double"'):
        client.duble(1)
    assert not hasattr(client, "nowhere")
    assert not hasattr(client, "_private")
    assert getattr(client, "nowhere", 3) == 3


def test_call_reaches_endpoints_whose_names_are_the_clients_own(client: meta.ServiceClient) -> None:
    assert client.call("stats") == "the endpoint's"
    assert client.call("close") == "the endpoint's close"
    assert client.call("with space") == "spaced"
    assert client.call("double", number=4) == 8


def test_init_gives_constructor_arguments_that_connect_uses_itself(shop: str) -> None:
    with meta.connect(shop, init={"timeout": 2.5, "api": "x", "token": "t"}) as client:
        assert client.options() == (2.5, "x", "t")
    with meta.connect(shop, 3.5, init={"token": "t"}) as client:
        assert client.options() == (3.5, "none", "t")
    with pytest.raises(meta.ConfigurationError, match="'other' is given twice"):
        meta.connect(shop, other=1, init={"other": 2})


def test_describe_tells_signatures_and_docstrings(client: meta.ServiceClient) -> None:
    described = client.describe()
    assert (described.service, described.doc) == ("shop", "Sells things.")
    assert described.constructor == "(timeout: float = 1.0, api: str = 'none', *, token: str = '')"
    double = described.endpoints["double"]
    assert (double.signature, double.doc, double.coroutine) == ("(number: int) -> int", "Twice the number.", False)
    assert described.endpoints["later"].coroutine
    assert described.endpoints["stats"].aliases == ("its_own_stats",)
    assert client.endpoints() == [
        "options", "double", "later", "fail", "wait", "stats", "close", "with space",
    ]  # fmt: skip
    assert {"double", "later"} <= set(dir(client))
    assert repr(client) == "<ServiceClient 'shop'>"


def test_stats_count(client: meta.ServiceClient) -> None:
    before = client.stats()
    client.double(1)
    with pytest.raises(ValueError, match="counted"):
        client.fail("counted")
    after = client.stats()
    assert after["calls"] >= before["calls"] + 2
    assert after["errors"] >= before["errors"] + 1


def test_options_share_the_connections_and_leave_the_client_as_it_was(client: meta.ServiceClient) -> None:
    hurried = client.with_options(timeout=0.05)
    with pytest.raises(meta.DeadlineExceeded, match=r"shop\.wait: no answer within 0\.05 s") as caught:
        hurried.wait()
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.may_have_run
    assert hurried.double(2) == client.double(2) == 4
    assert client.with_options(one_way=True).double(2) is None
    with pytest.raises(meta.ConfigurationError, match="timeout is seconds"):
        client.with_options(timeout=0)


def test_a_batch_is_sent_when_its_block_ends(client: meta.ServiceClient) -> None:
    with client.batch() as batch:
        doubled = [batch.double(number) for number in range(100)]
        failed = batch.fail("in the middle")
        later = batch.later(1)
        own = batch.call("stats")
        assert len(batch) == 103
        with pytest.raises(RuntimeError, match="has not been sent"):
            later.result()
    assert [call.result() for call in doubled] == [2 * number for number in range(100)]
    with pytest.raises(ValueError, match="in the middle"):
        failed.result()
    assert isinstance(failed.exception(), meta.RemoteExecutionError)
    assert (later.result(), own.result(), later.exception()) == (2, "the endpoint's", None)


def test_a_batch_whose_block_fails_is_not_sent(client: meta.ServiceClient) -> None:
    batch = client.batch()
    with pytest.raises(KeyError), batch:
        call = batch.double(1)
        raise KeyError
    with pytest.raises(RuntimeError, match="has not been sent"):
        call.result()
    with pytest.raises(meta.EndpointNotFound):
        client.batch().nowhere()


def test_the_remote_traceback_is_shown(client: meta.ServiceClient) -> None:
    with pytest.raises(ValueError, match="shown") as caught:
        client.fail("shown")
    assert isinstance(caught.value, meta.RemoteExecutionError)
    assert "raise ValueError(text)" in caught.value.remote_traceback
    assert "Remote traceback (most recent call last):" in caught.value.__notes__[0]
    assert "ironbridge" not in caught.value.remote_traceback.replace(__file__, "")


class ShopApi(meta.Api, Protocol):
    def double(self, number: int) -> int: ...
    def later(self, number: int) -> int: ...


class OtherApi(Protocol):
    def double(self, number: int) -> int: ...
    def missing(self) -> None: ...
    def also_missing(self) -> None: ...


def test_a_typed_client(shop: str) -> None:
    with meta.connect(shop, api=ShopApi) as client:
        number: int = client.double(2)
        assert number + client.later(1) == 6


def test_what_a_protocol_promises_must_be_there(shop: str) -> None:
    with pytest.raises(meta.EndpointNotFound, match="is no OtherApi: it lacks missing, also_missing"):
        meta.connect(shop, api=OtherApi)


def test_nobody_serves_that_name() -> None:
    with pytest.raises(meta.ServiceNotFound, match="nobody-serves-this"):
        meta.connect("nobody-serves-this", timeout=0.05)
    with pytest.raises(meta.ConfigurationError, match="poll_interval"):
        meta.connect("nobody-serves-this", poll_interval=0)
    with pytest.raises(meta.ConfigurationError, match="tcp://host:port/name"):
        meta.connect("http://host/name")


def test_one_client_in_many_threads(client: meta.ServiceClient) -> None:
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: results.extend(client.double(n) for _ in range(50))) for n in range(32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(2 * n for n in range(32) for _ in range(50))


def test_a_client_is_no_value(client: meta.ServiceClient) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(client)
    with pytest.raises((TypeError, AttributeError)):
        copy.deepcopy(client)


def test_a_forked_child_has_connections_of_its_own(client: meta.ServiceClient) -> None:
    assert client.double(1) == 2
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if [client.double(number) for number in range(100)] == [2 * number for number in range(100)]:
                status = 0
        finally:
            os._exit(status)
    assert [client.double(number) for number in range(100)] == [2 * number for number in range(100)]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.double(1) == 2


TYPED = """
from typing import Protocol
import ironbridge.bridge as meta

class Api(Protocol):
    def double(self, number: int) -> int: ...

reveal_type(meta.connect("x", api=Api))
reveal_type(meta.connect("x", 1, key=2))
reveal_type(meta.connect_async("x", api=Api))
reveal_type(meta.run())
reveal_type(meta.create("x").daemon())

@meta.create("x").daemon(workers=2)
class Service:
    @meta.anything
    def method(self, number: int) -> str:
        return ""

    @meta.endpoint("other")
    async def other(self) -> int:
        return 1

reveal_type(Service().method)
meta.conect("x")
meta.connect("x", api=Api).double("x")
"""


def test_an_editor_and_mypy_see_the_types(start: Start, tmp_path: Any) -> None:
    from mypy import api

    (tmp_path / "typed.py").write_text(TYPED)
    shown, _, status = api.run(["--strict", "--cache-dir", str(tmp_path / "cache"), str(tmp_path / "typed.py")])
    assert status == 1
    for expected in (
        '"typed.Api"',
        '"ironbridge._bridge.client.ServiceClient"',
        '"ironbridge._bridge.aio.Connecting[typed.Api]"',
        '"ironbridge._bridge.handle.DaemonHandle"',
        '"def (number: int) -> str"',
        'Value of type variable "F"',
        'has incompatible type "str"; expected "int"',
    ):
        assert expected in shown, shown
    assert "Found 2 errors" in shown, shown
