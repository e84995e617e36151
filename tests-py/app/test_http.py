"""Controllers over HTTP: each request is a unit of work, which is over before its response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.testclient import TestClient
from ironbridge.app import (
    AppTransactionContext,
    Delete,
    FilterError,
    Get,
    HttpMicroservice,
    HttpTransactionData,
    Microservice,
    Patch,
    Post,
    PresentationException,
    ProviderSpec,
    Put,
    RestController,
    SetMetadata,
    UseDependency,
    UseMiddleware,
    compose_route_decorators,
    create_http_server,
    get_metadata_value,
    raises_404_on,
    use_app_context,
    use_app_type,
)
from ironbridge.errors import ConfigurationError
from pydantic import BaseModel

Log = list[Any]


class Item(BaseModel):
    name: str
    size: int = 1


class Recording:
    """An interceptor that tells what it sees."""

    def __init__(self, log: Log) -> None:
        self.log = log

    @asynccontextmanager
    async def intercept(self, app_context: AppTransactionContext) -> AsyncIterator[None]:
        self.log.append("begin")
        try:
            yield
        except BaseException as error:
            self.log.append(f"rollback: {type(error).__name__}")
            raise
        self.log.append("commit")


class Timing:
    def __init__(self, log: Log) -> None:
        self.log = log

    async def intercept(self, x_name: Annotated[str, Header()] = "nobody") -> AsyncIterator[None]:
        self.log.append(f"in, {x_name}")
        yield
        self.log.append("out")


def traced(name: str) -> Any:
    return compose_route_decorators(SetMetadata("traced", name), UseMiddleware(Timing))


@RestController("/items")
class Items:
    def __init__(self, log: Log) -> None:
        self.log = log

    @Get("/")
    async def list(self, limit: int = 10) -> list[Item]:
        return [Item(name="one")][:limit]

    @Get("/{number}")
    def one(self, number: int) -> Item:
        with raises_404_on(KeyError):
            return {1: Item(name="one")}[number]

    @Post("/", options={"status_code": 201})
    async def make(self, item: Item, response: Response) -> Item:
        response.headers["x-size"] = str(item.size)
        return item

    @Put("/{number}")
    @traced("replacing")
    async def replace(self, number: int, item: Item) -> str:
        self.log.append("handler")
        return str(get_metadata_value("traced"))

    @Patch("/{number}")
    async def change(self, number: int) -> dict[str, Any]:
        data = use_app_context()
        assert isinstance(data, HttpTransactionData)
        data.response.headers["x-changed"] = "yes"
        return {"path": data.request.url.path, "type": use_app_type()}

    @Delete("/{number}")
    async def remove(self, number: int) -> None:
        raise RuntimeError("broken")


def served(*interceptors: Any, log: Log | None = None, **given: Any) -> TestClient:
    app = Microservice(
        providers=[ProviderSpec(provide=Log, use_value=[] if log is None else log)],
        controllers=[Items],
        interceptors=list(interceptors),
    )
    return TestClient(create_http_server(HttpMicroservice(app, **given)), raise_server_exceptions=False)


def test_endpoints_take_and_give_what_fastapi_takes_and_gives() -> None:
    with served() as client:
        assert client.get("/items/", params={"limit": 1}).json() == [{"name": "one", "size": 1}]
        assert client.get("/items").history == []
        assert client.get("/items/1").json() == {"name": "one", "size": 1}
        made = client.post("/items/", json={"name": "two", "size": 7})
        assert (made.status_code, made.headers["x-size"]) == (201, "7")
        assert client.post("/items/", json={"size": "many"}).status_code == 422
        assert client.get("/items/x").status_code == 422


def test_openapi_is_complete_before_the_application_has_begun() -> None:
    application = create_http_server(Microservice(controllers=[Items]))
    paths = application.openapi()["paths"]
    assert {path: sorted(methods) for path, methods in paths.items()} == {
        "/items/": ["get", "post"],
        "/items/{number}": ["delete", "get", "patch", "put"],
    }


@RestController()
class Everything:
    @Get("/{path:path}")
    async def anything(self, path: str) -> str:
        return f"page {path}"


def test_documentation_is_the_last_that_a_request_is_compared_with() -> None:
    application = create_http_server(Microservice(controllers=[Items]))
    last = [getattr(one, "path", None) for one in application.routes[-4:]]
    assert last == ["/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"]
    with served() as client:
        assert "/items/{number}" in client.get("/openapi.json").json()["paths"]
        assert client.get("/docs").status_code == 200


def test_a_path_of_any_name_does_not_hide_the_documentation() -> None:
    with TestClient(create_http_server(Microservice(controllers=[Everything]))) as client:
        assert client.get("/openapi.json").json()["openapi"]
        assert client.get("/some/page").json() == "page some/page"


def test_a_request_sees_itself_and_its_response() -> None:
    with served() as client:
        changed = client.patch("/items/3")
    assert changed.json() == {"path": "/items/3", "type": "http"}
    assert changed.headers["x-changed"] == "yes"


def test_interceptors_commit_before_the_response_and_roll_back_when_it_is_an_error() -> None:
    log: Log = []
    with served(Recording(log)) as client:
        client.get("/items/")
        client.get("/items/2")
        client.delete("/items/1")
    assert log == ["begin", "commit", "begin", "rollback: HTTPException", "begin", "rollback: RuntimeError"]


class Failing:
    @asynccontextmanager
    async def intercept(self) -> AsyncIterator[None]:
        yield
        raise RuntimeError("the commit has failed")


def test_a_commit_that_fails_is_an_error_for_the_client() -> None:
    with served(Failing()) as client:
        assert client.get("/items/").status_code == 500


def test_a_middleware_runs_within_the_unit_of_work_around_the_handler() -> None:
    log: Log = []
    with served(Recording(log), log=log) as client:
        answer = client.put("/items/1", json={"name": "x"}, headers={"x-name": "ann"})
    assert answer.json() == "replacing"
    assert log == ["begin", "in, ann", "handler", "out", "commit"]


def test_middlewares_of_the_application_reach_every_controller() -> None:
    @RestController("/other")
    class Other:
        @Get("/")
        async def get(self) -> str:
            return "other"

    log: Log = []
    app = Microservice([ProviderSpec(provide=Log, use_value=log)], [Items, Other])
    with TestClient(create_http_server(HttpMicroservice(app, middlewares=[Timing]))) as client:
        client.get("/items/1")
        client.get("/other/")
    assert log == ["in, nobody", "out"] * 2


def test_dependencies_of_fastapi_run_before_the_endpoint() -> None:
    def guarded(request: Request) -> None:
        if "x-key" not in request.headers:
            raise HTTPException(401)

    @RestController("/guarded")
    @UseDependency(guarded)
    class Guarded:
        @Get("/")
        async def get(self) -> str:
            return "in"

    with TestClient(create_http_server(Microservice(controllers=[Guarded]))) as client:
        assert client.get("/guarded/").status_code == 401
        assert client.get("/guarded/", headers={"x-key": "1"}).json() == "in"


def test_an_exception_that_nobody_handles_is_told_with_what_was_served() -> None:
    told: list[PresentationException] = []

    def factory(lifespan: Any) -> FastAPI:
        application = FastAPI(lifespan=lifespan, title="mine")

        @application.exception_handler(PresentationException)
        async def handle(request: Request, error: PresentationException) -> Response:
            told.append(error)
            return Response("sorry", 503)

        return application

    with served(factory=factory) as client:
        answer = client.delete("/items/4")
    assert (answer.status_code, answer.text) == (503, "sorry")
    assert isinstance(told[0].original_exception, RuntimeError)
    assert told[0].request is not None
    assert told[0].request.url.path == "/items/4"


def test_an_exception_with_a_handler_of_its_own_reaches_it() -> None:
    def factory(lifespan: Any) -> FastAPI:
        application = FastAPI(lifespan=lifespan)

        @application.exception_handler(RuntimeError)
        async def handle(request: Request, error: RuntimeError) -> Response:
            return Response(str(error), 418)

        return application

    with served(factory=factory) as client:
        assert client.delete("/items/4").status_code == 418


def test_a_server_whose_lifespan_does_not_run_says_so() -> None:
    client = TestClient(create_http_server(Microservice(controllers=[Items])))
    with pytest.raises((ConfigurationError, PresentationException), match="lifespan"):
        client.get("/items/")


def test_decorators_of_a_base_class_count() -> None:
    class Base:
        @Get("/shared")
        async def shared(self) -> str:
            return type(self).__name__

    @RestController("/derived")
    class Derived(Base):
        pass

    with TestClient(create_http_server(Microservice(controllers=[Derived]))) as client:
        assert client.get("/derived/shared").json() == "Derived"


@RestController("/empty")
class Empty:
    @Delete("/", options={"status_code": 204})
    async def forget(self) -> None:
        pass

    @Get("/")
    async def search(self) -> None:
        raise FilterError("'colour' is none of the fields")


def test_an_answer_without_a_body_may_have_a_status_that_forbids_one() -> None:
    with TestClient(create_http_server(Microservice(controllers=[Empty]))) as client:
        assert (client.delete("/empty").status_code, client.delete("/empty").content) == (204, b"")


def test_a_filter_that_cannot_be_is_the_client_s_error() -> None:
    with TestClient(create_http_server(Microservice(controllers=[Empty]))) as client:
        refused = client.get("/empty")
    assert (refused.status_code, refused.json()) == (422, {"detail": "'colour' is none of the fields"})
