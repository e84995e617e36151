# mypy: disable-error-code="empty-body"
"""Clients of other services: classes that say what these have, called as if they were here."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Form, HTTPException, Request, Response
from fastapi import File as Uploaded
from fastapi import Header as Sent
from harness import free_port
from ironbridge.app import (
    ApiKeyAuth,
    BasicAuth,
    BearerTokenAuth,
    Body,
    CacheMiddleware,
    ContentType,
    File,
    FormData,
    GlobalHttpErrorHandler,
    Header,
    HttpDelete,
    HttpGet,
    HttpPatch,
    HttpPost,
    HttpPut,
    HttpRpcClientBuilder,
    HttpRPCRequest,
    HttpRPCResponse,
    HTTPXHttpRPCAsyncBackend,
    PathParam,
    Query,
    RestClient,
    Retry,
    RouteHttpErrorHandler,
    RPCRequestNetworkError,
    RPCRetryPolicy,
    RPCUnhandleError,
    Timeout,
    TimeoutException,
    TracedRequestMiddleware,
)
from ironbridge.errors import ConfigurationError, DeadlineExceeded, ServiceUnavailable
from opentelemetry.sdk.trace import TracerProvider
from pydantic import BaseModel, ValidationError


class Item(BaseModel):
    id: int
    name: str = ""


def missing(_request: HttpRPCRequest, _response: HttpRPCResponse) -> str:
    return "there is none"


def teapot(request: HttpRPCRequest, response: HttpRPCResponse) -> Any:
    raise LookupError(f"{request.url} is a teapot: {response.status_code}")


@RestClient("/items")
@GlobalHttpErrorHandler(418, teapot)
class Items:
    """The other service, as its caller sees it."""

    @HttpGet("/:id")
    @PathParam("id")
    @Header("X-Tenant")
    async def get(self, id: int | str, x_tenant: str | None = None) -> Item: ...

    @HttpGet("/")
    async def all(self, first: int = 0, tags: list[str] | None = None) -> list[Item]: ...

    @HttpPost("/")
    async def make(self, item: Item) -> Item: ...

    @HttpPut("/{id}", success_statuses=[200])
    @Body("item")
    async def put(self, id: int, item: dict[str, Any]) -> None: ...

    @HttpPatch("/{id}")
    @Body("patch")
    @ContentType("application/merge-patch+json")
    async def patch(self, id: int, patch: bytes) -> str: ...

    @HttpDelete("/{id}")
    async def delete(self, id: int) -> None: ...

    @HttpGet("/{id}/picture")
    async def picture(self, id: int) -> bytes: ...

    @HttpPost("/{id}/picture")
    @FormData("title")
    @File("picture")
    async def upload(self, id: int, title: str, picture: bytes) -> HttpRPCResponse: ...

    @HttpGet("/odd/:what")
    @RouteHttpErrorHandler(404, missing)
    @Retry(RPCRetryPolicy(max_attempts=3, backoff_factor=0.01))
    async def odd(self, what: str) -> str: ...

    @HttpGet("/slow")
    @Timeout(0.1)
    async def slow(self) -> None: ...

    @HttpGet("/who")
    @Query("again")
    async def who(self, again: int = 0) -> dict[str, Any]: ...

    def helper(self) -> str:
        return "as it is"


class Other:
    """The other service."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.app = FastAPI()
        self.app.add_api_route("/items/who", self.who)
        self.app.add_api_route("/items/odd/{what}", self.odd)
        self.app.add_api_route("/items", self.all)
        self.app.add_api_route("/items", self.make, methods=["POST"], status_code=201)
        self.app.add_api_route("/items/{id:path}", self.get)
        self.app.add_api_route("/items/{id}", self.put, methods=["PUT"], status_code=201)
        self.app.add_api_route("/items/{id}", self.patch, methods=["PATCH"])
        self.app.add_api_route("/items/{id}", self.delete, methods=["DELETE"], status_code=204)
        self.app.add_api_route("/items/{id}/picture", self.upload, methods=["POST"])

    async def get(self, id: str, x_tenant: Annotated[str | None, Sent()] = None) -> Any:
        if id.endswith("/picture"):
            return Response(b"\x89PNG", media_type="image/png")
        if id == "999":
            return {"id": "wrong"}
        return {"id": 7, "name": f"{id} of {x_tenant}"}

    async def all(self, first: int, request: Request) -> Any:
        return [{"id": first, "name": one} for one in request.query_params.getlist("tags")]

    async def make(self, item: Item) -> Item:
        return item

    async def put(self, id: int) -> None:
        return None

    async def patch(self, id: int, request: Request) -> str:
        return f"{request.headers['content-type']}: {(await request.body()).decode()}"

    async def delete(self, id: int) -> None:
        return None

    async def upload(self, id: int, title: Annotated[str, Form()], picture: Annotated[bytes, Uploaded()]) -> str:
        return f"{title}: {len(picture)}"

    async def odd(self, what: str) -> str:
        self.asked.append(what)
        if what == "later" and self.asked.count("later") < 3:
            raise HTTPException(503)
        codes = {"none": 404, "tea": 418, "broken": 500, "mine": 400}
        if what in codes:
            raise HTTPException(codes[what], f"it is {what}")
        return what

    async def who(self, request: Request, again: int = 0) -> Any:
        self.asked.append("who")
        return dict(request.headers)


@pytest.fixture
def other() -> Other:
    return Other()


@pytest.fixture
async def backend(other: Other) -> AsyncIterator[HTTPXHttpRPCAsyncBackend]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(other.app)) as client:
        yield HTTPXHttpRPCAsyncBackend("http://other/", client=client)


@pytest.fixture
def items(backend: HTTPXHttpRPCAsyncBackend) -> Items:
    return HttpRpcClientBuilder(backend).build(Items)


async def test_methods_are_requests_and_their_answers_are_what_they_say(items: Items) -> None:
    assert isinstance(items, Items) and items.helper() == "as it is"
    assert await items.get(5, x_tenant="ann") == Item(id=7, name="5 of ann")
    assert (await items.get("a/b c")).name == "a/b c of None"
    assert await items.all(tags=["x", "y"]) == [Item(id=0, name="x"), Item(id=0, name="y")]
    assert await items.make(Item(id=3, name="new")) == Item(id=3, name="new")
    assert await items.patch(5, b'{"a":1}') == 'application/merge-patch+json: {"a":1}'
    assert await items.delete(5) is None
    assert await items.picture(5) == b"\x89PNG"
    answer = await items.upload(5, "a cat", b"12345")
    assert (answer.status_code, answer.data) == (200, b'"a cat: 5"') and answer.elapsed_time > 0


async def test_what_is_no_success_is_an_error_or_what_its_handler_makes_of_it(items: Items) -> None:
    assert await items.odd("none") == "there is none"
    with pytest.raises(LookupError, match="is a teapot: 418"):
        await items.odd("tea")
    with pytest.raises(RPCUnhandleError, match=r"GET /items/odd/mine: answered 400: .*it is mine") as failed:
        await items.odd("mine")
    assert failed.value.response.status_code == 400 and failed.value.fate == "executed"
    with pytest.raises(RPCUnhandleError, match="answered 201"):
        await items.put(5, {"a": 1})
    with pytest.raises(ValidationError):
        await items.get(999)


async def test_what_fails_is_tried_again_as_often_as_it_is_said(items: Items, other: Other) -> None:
    assert await items.odd("later") == "later"
    assert other.asked == ["later"] * 3
    with pytest.raises(RPCUnhandleError, match="answered 500"):
        await items.odd("broken")
    assert other.asked.count("broken") == 3


async def test_one_that_does_not_answer_or_is_not_there_is_told() -> None:
    backend = HTTPXHttpRPCAsyncBackend(f"http://127.0.0.1:{free_port()}")
    client = HttpRpcClientBuilder(backend).build(Items)
    with pytest.raises(RPCRequestNetworkError, match="GET /items/who") as lost:
        await client.who()
    assert isinstance(lost.value, ServiceUnavailable)
    await backend.aclose()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        backend = HTTPXHttpRPCAsyncBackend(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(TimeoutException, match=r"no answer within 0\.1 s") as late:
            await HttpRpcClientBuilder(backend).build(Items).slow()
        assert isinstance(late.value, DeadlineExceeded)
        await backend.aclose()


async def test_who_asks_is_told_and_answers_are_kept_for_each(backend: HTTPXHttpRPCAsyncBackend, other: Other) -> None:
    for middleware, name, value in (
        (BearerTokenAuth("t"), "authorization", "Bearer t"),
        (BasicAuth("ann", "pw"), "authorization", "Basic YW5uOnB3"),
        (ApiKeyAuth("k"), "x-api-key", "k"),
    ):
        client = HttpRpcClientBuilder(backend, [middleware]).build(Items)
        assert (await client.who())[name] == value
    cache = CacheMiddleware(ttl_seconds=60)
    ann = HttpRpcClientBuilder(backend, [BearerTokenAuth("ann"), cache]).build(Items)
    bob = HttpRpcClientBuilder(backend, [BearerTokenAuth("bob"), cache]).build(Items)
    other.asked.clear()
    for _ in range(3):
        assert (await ann.who())["authorization"] == "Bearer ann"
    assert (await bob.who())["authorization"] == "Bearer bob"
    await ann.who(again=1)
    assert len(other.asked) == 3
    with TracerProvider().get_tracer("test").start_as_current_span("here") as span:
        told = await HttpRpcClientBuilder(backend, [TracedRequestMiddleware()]).build(Items).who()
    assert f"{span.get_span_context().trace_id:032x}" in told["traceparent"]


async def test_hooks_see_what_is_sent_and_what_comes(backend: HTTPXHttpRPCAsyncBackend) -> None:
    seen: list[Any] = []

    class Hook:
        async def before_request(self, request: HttpRPCRequest) -> None:
            seen.append(request.url)

        async def after_response(self, request: HttpRPCRequest, response: HttpRPCResponse) -> None:
            seen.append(response.status_code)

        async def on_response(self, request: HttpRPCRequest, response: HttpRPCResponse) -> HttpRPCResponse:
            return HttpRPCResponse(200, b'{"id": 1}', response.headers)

    hook = Hook()
    assert await HttpRpcClientBuilder(backend, [], [hook], [hook], [hook]).build(Items).get(5) == Item(id=1)
    assert seen == ["/items/5", 200]


class NoClient:
    pass


@RestClient("/x")
class Wrong:
    @HttpGet("/{id}")
    async def one(self) -> None: ...


@RestClient("/x")
class AlsoWrong:
    @HttpGet("/")
    @Header("X-Tenant")
    async def one(self) -> None: ...


@pytest.mark.parametrize(
    ("kind", "why"),
    [(NoClient, "no @RestClient"), (Wrong, "nothing goes to id"), (AlsoWrong, "no parameter for x_tenant")],
)
def test_what_is_no_client_is_refused_when_it_is_made(kind: type[Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        HttpRpcClientBuilder(HTTPXHttpRPCAsyncBackend()).build(kind)
