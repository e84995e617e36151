"""An application with every kind of type and parameter, for its TypeScript."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Body, Cookie, Depends, File, Form, Header, Query, Response, UploadFile
from fastapi.responses import PlainTextResponse
from ironbridge.app import (
    Delete,
    Get,
    HttpMicroservice,
    Microservice,
    MutationEndpoint,
    Paginated,
    PaginatedFilter,
    Post,
    Put,
    QueryEndpoint,
    RegisterWebSocketMessage,
    RestController,
    UseMiddleware,
    WebSocketMessage,
    create_http_server,
)
from pydantic import BaseModel, Field

from app.typed_models import (
    Base,
    Box,
    Color,
    Derived,
    Everything,
    Folder,
    Narrowed,
    Node,
    Owner,
    OwnerBox,
    Pair,
    Pet,
    Profile,
    Renamed,
    Size,
    WidgetChanged,
)


class PageQuery(BaseModel):
    page_size: int = 10
    sort_by: str = Field("name", alias="sort")
    colors: list[Color] = []


class Traced(BaseModel):
    trace_id: str
    span_id: str = "none"


class SignUp(BaseModel):
    user_name: str
    years_old: int


class SignIn(BaseModel):
    pass_word: str


class Tenants:
    async def intercept(self, x_tenant: Annotated[str, Header()] = "nobody") -> AsyncIterator[None]:
        yield


async def limit(at_most: int = 5) -> int:
    return at_most


@RestController("/widgets")
@RegisterWebSocketMessage(WidgetChanged)
class Widgets:
    @Get("/")
    @QueryEndpoint()
    async def list_widgets(self, page: int = 0, colors: Annotated[list[Color] | None, Query()] = None) -> list[str]:
        return [f"{page}", *(color.value for color in colors or ())]

    @Get("/paged")
    @QueryEndpoint(has_infinite_query=True)
    async def paged(self, filter: Annotated[PaginatedFilter, Query()]) -> Paginated[Owner]:
        return Paginated(items=[Owner(owner_id=UUID(int=1))], total=1, unpaginated_total=filter.page, total_pages=1)

    @Get("/{widget_id}")
    async def get_widget(
        self,
        widget_id: int,
        x_trace: Annotated[str, Header()],
        verbose: Annotated[bool, Query(alias="v")] = False,
    ) -> Box[Owner]:
        owner = Owner(owner_id=UUID(int=widget_id), nick_name=f"{x_trace} {verbose}")
        return Box[Owner](content=owner, made_at=datetime(2024, 2, 29))

    @Post("/")
    @MutationEndpoint()
    async def make(self, profile: Profile) -> Profile:
        return profile

    @Put("/{widget_id}")
    @QueryEndpoint()
    @MutationEndpoint()
    async def both(self, widget_id: int) -> None:
        return None

    @Delete("/{widget_id}")
    async def remove(self, widget_id: int) -> None:
        raise LookupError(widget_id)

    @Get("/no/annotation")
    async def untold(self):  # type: ignore[no-untyped-def]
        return {"some_key": 1}


@RestController("/bodies")
class Bodies:
    @Post("/several")
    async def several(self, owner: Owner, names: Annotated[list[str], Body()], limited: int = 3) -> str:
        return f"{owner.nick_name}: {', '.join(names)} {limited}"

    @Post("/embedded")
    async def embedded(self, owner: Annotated[Owner, Body(embed=True)]) -> Owner:
        return owner

    @Post("/listed")
    async def listed(self, owners: list[Owner]) -> int:
        return len(owners)

    @Post("/table")
    async def table(self, counts: dict[str, int]) -> dict[str, int]:
        return counts

    @Post("/owners")
    async def owners(self, owners: dict[str, Owner]) -> dict[str, Owner]:
        return owners

    @Post("/pets")
    async def pets(self, pets: list[Pet | dict[str, int]]) -> list[Pet | dict[str, int]]:
        return pets

    @Post("/node")
    async def node(self, node: Node) -> Node:
        return node

    @Post("/folder")
    async def folder(self, folder: Folder) -> Folder:
        return folder

    @Post("/renamed")
    async def renamed(self, renamed: Renamed) -> Renamed:
        return renamed

    @Post("/renamed/names", options={"response_model_by_alias": False})
    async def by_name(self, renamed: Renamed) -> Renamed:
        return renamed

    @Post("/sized")
    async def sized(self, size: Size, pair: Pair[Size], box: OwnerBox | None = None) -> Pair[Size]:
        return Pair(pair.left_side, size)

    @Post("/derived")
    async def derived(self, derived: Derived, narrowed: Narrowed) -> list[Base]:
        return [derived, narrowed]

    @Post("/files")
    async def files(
        self,
        first: UploadFile,
        others: Annotated[list[bytes], File()],
        note: Annotated[str, Body()] = "none",
    ) -> str:
        return f"{first.filename}: {len(await first.read())}, {[len(one) for one in others]}, {note}"

    @Post("/form")
    async def form(self, form: Annotated[SignUp, Form()]) -> str:
        return f"{form.user_name} {form.years_old}"

    @Post("/forms")
    async def forms(self, form: Annotated[SignUp | SignIn, Form()]) -> str:
        return type(form).__name__

    @Post("/fields")
    async def fields(self, user_name: Annotated[str, Form()], years: Annotated[int | None, Form()] = None) -> str:
        return f"{user_name} {years}"


@RestController("/others", middlewares=[Tenants])
class Others:
    @Get("/everything", options={"response_model": None})
    async def everything(self) -> Everything | None:
        return None

    @Get("/text", response_type="text")
    async def text(self) -> str:
        return "plain"

    @Get("/blob", response_type="blob")
    async def blob(self) -> Response:
        return Response(b"\x00\x01", media_type="application/octet-stream")

    @Get("/plain")
    async def plain(self) -> PlainTextResponse:
        return PlainTextResponse("no json")

    @Get("/headers")
    async def headers(
        self,
        traced: Annotated[Traced, Header()],
        session: Annotated[str | None, Cookie()] = None,
        raw_name: Annotated[str, Header(alias="X_Raw")] = "",
    ) -> str:
        return f"{traced.trace_id} {traced.span_id} {session} {raw_name}"

    @Get("/query")
    async def query(self, filter: Annotated[PageQuery, Query()], limit: Annotated[int, Depends(limit)]) -> str:
        return f"{filter.page_size} {filter.sort_by} {[one.value for one in filter.colors]} {limit}"

    @Get("/deleted/{path:path}")
    async def delete(self, path: str, default: int = 0, new: Literal["a"] | None = None) -> str:
        return f"{path} {default} {new}"

    @Get("/either", options={"name": "given"})
    @Post("/either")
    async def either(self) -> str:
        return "either"

    @Get("/guarded")
    @UseMiddleware(Tenants)
    async def guarded(self, needed: int) -> Any:
        return needed


class Said(WebSocketMessage):
    MESSAGE_ID = "said"
    text: str


app = Microservice(controllers=[Widgets, Bodies, Others])
http_app = HttpMicroservice(app)
web_app = create_http_server(http_app)
