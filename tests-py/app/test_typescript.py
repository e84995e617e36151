"""TypeScript of an application: what is declared, and how the client's methods look."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import Program, wait_until
from ironbridge._app.tsi.generating import generate
from ironbridge.app import Get, HttpMicroservice, Microservice, RestController
from ironbridge.errors import ConfigurationError
from pydantic import create_model

from app.typed_services import Tenants, app, http_app
from app.typescript import JS, STRICTEST, compiled, declared, method

FETCH = generate(http_app)
JARARACA = generate(http_app, runtime="jararaca")


def squeezed(text: str) -> str:
    """A text whose whitespace does not matter."""
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("options", [["--strict"], STRICTEST], ids=["strict", "strictest"])
def test_the_compiler_takes_either_runtime(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "app.ts").write_text(FETCH)
    (tmp_path / "hooks.ts").write_text(JARARACA)
    (tmp_path / "core.d.ts").write_text((JS / "jararaca-core.d.ts").read_text())
    compiled(tmp_path, "app.ts", "hooks.ts", "core.d.ts", options=options)


def test_an_application_without_anything_compiles(tmp_path: Path) -> None:
    (tmp_path / "app.ts").write_text(generate(Microservice()))
    compiled(tmp_path, "app.ts", options=STRICTEST)


def test_the_same_application_gives_the_same_text() -> None:
    assert generate(http_app) == FETCH
    assert generate(app) == FETCH


@pytest.mark.parametrize("text", [FETCH, JARARACA], ids=["fetch", "jararaca"])
def test_types_are_those_of_the_wire(text: str) -> None:
    lines = declared(text, "interface Everything").splitlines()[1:-1]
    assert {line.strip(" ;").partition(": ")[0]: line.strip(" ;").partition(": ")[2] for line in lines} == {
        "text": "string",
        "count": "number",
        "ratio": "number",
        "price": "string",
        "flag": "boolean",
        "nothing": "null",
        "anything": "any",
        "raw": "string",
        "length": "string",
        "day": "string",
        "at": "string",
        "unique": "Array<number>",
        "frozen": "Array<string>",
        "sequence": "Array<Color>",
        "queue": "Array<number>",
        "pair": "[number, string]",
        "many": "Array<number>",
        "table": "{ [key: string]: Array<Owner> }",
        "byNumber": "{ [key: number]: string }",
        "byColor": "{ [key in Color]?: number }",
        "mapping": "{ [key: string]: boolean }",
        "choice": '"a" | 3 | null',
        "oneColor": "Color.RED",
        "color": "Color",
        "level": "Level",
        "weight": "Weight",
        "answer": "Answer",
        "rights": "number",
        "tags": "Tags",
        "folder": "Folder",
        "size": "Size",
        "place": "[number, string]",
        "point": "Point",
        "points": "Pair<number>",
        "either": "number | string | null",
        "owner": "string",
        "link": "string",
        "path": "string",
        "jsonValue": "any",
        "tree": "Tree",
        "pets": "Array<Cat | Dog>",
        "boxed": "Box<Owner>",
        "plainBox": "Box<any>",
        "nested": "Box<Array<Box<number>>>",
        "factory": "Array<number>",
        "default?": "number",
        "doubleCount": "number",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("interface Box<T>", "{ content: T; madeAt: string; }"),
        ("enum Color", '{ LIGHT_BLUE = "light_blue", RED = "red", }'),
        ("enum Level", "{ HIGH = 2, LOW = 1, }"),
        ("enum Weight", "{ ONE = 1, TWO = 2, }"),
        ("interface Owner", "{ nickName?: string | null; ownerId: string; }"),
        ("interface OwnerBox", "extends Box<Owner> { boxLabel: string; }"),
        ("interface Derived", "extends Base { ownValue: number; }"),
        ("interface Narrowed", 'extends Omit<Base, "baseNote"> { baseNote: string; }'),
        ("interface ProfileInput", "{ bioText?: string | null; passWord?: string; tagList?: Array<string>; userName: "),
        (
            "interface ProfileOutput",
            "{ bioText: string | null; nameLength: number; tagList: Array<string>; userName: string; }",
        ),
        ("interface Node", "{ nodeName: string; parentNode?: Node | null; subNodes?: Array<Node>; }"),
        ("interface Cat", '{ clawCount: number; petKind: "cat"; }'),
        ("interface Size", "{ height?: number; widthInCm: number; }"),
        ("interface Point", "{ tags: Array<string>; x: number; yOffset?: number; }"),
        ("interface Renamed", '{ firstName: string; "other-name"?: number; }'),
        ("interface Exposed", "{ shownAnyway: boolean; }"),
        ("interface WidgetChanged", 'extends Omit<WebSocketMessage, "MESSAGE_ID"> { newPrice: number; widgetId: '),
        ("type WebSocketMessageMap", '= { "widget.changed": WidgetChanged; }'),
    ],
)
def test_models_are_declared(name: str, text: str) -> None:
    for of in (FETCH, JARARACA):
        assert squeezed(declared(of, name)).startswith(f"export {name} {text}")


def test_aliases_and_odd_enumerations_are_types() -> None:
    for line in (
        "export type Tags = Array<string>;",
        "export type Folder = { [key: string]: Folder | number };",
        "export type Tree = { [key: string]: Tree } | number;",
        "export type Answer = false | true;",
    ):
        assert line in FETCH.splitlines()


def test_a_method_has_the_original_s_shape() -> None:
    assert squeezed(method(JARARACA, "getWidget")) == squeezed("""
      async getWidget(widget_id: number, x_trace: string, verbose?: boolean): Promise<Box<Owner>> {
        const response = await this.httpBackend.request<Box<Owner>>({
          method: "GET",
          path: `/widgets/:widget_id`,
          pathParams: {
            "widget_id": widget_id,
          },
          headers: {
            "x_trace": x_trace,
          },
          query: {
            "v": verbose,
          },
          body: undefined,
        });
        return response;
      }""")


def test_hooks_have_the_original_s_shape() -> None:
    assert declared(JARARACA, "const widgets") == (
        "export const widgets = {\n"
        '  ...createClassQueryHooks(Widgets,\n    "listWidgets",\n    "paged",\n  ),\n'
        "  ...createClassInfiniteQueryHooks(Widgets, {\n"
        '    "paged": paginationModelByFirstArgPaginationFilter(),\n  }),\n'
        '  ...createClassMutationHooks(Widgets,\n    "make",\n  ),\n'
        '  queries: {\n    ...createClassQueryHooks(Widgets,\n      "both",\n    ),\n  },\n'
        '  mutations: {\n    ...createClassMutationHooks(Widgets,\n      "both",\n    ),\n  },\n}'
    )
    assert "createClass" not in FETCH


@pytest.mark.parametrize(
    "signature",
    [
        'delete(x_tenant: string | undefined, path: string, default_?: number, new_?: "a" | null): Promise<string>',
        "guarded(x_tenant: string | undefined, needed: number): Promise<any>",
        "query(x_tenant: string | undefined, filter: PageQuery, at_most?: number): Promise<string>",
        "several(owner: Owner, names: Array<string>, limited?: number): Promise<string>",
        "files(first: File, others: Array<File>, note?: string): Promise<string>",
        "blob(x_tenant?: string): Promise<Blob>",
        "both(widget_id: number): Promise<void>",
        "untold(): Promise<any>",
        "either(x_tenant?: string): Promise<string>",
        "eitherPost(x_tenant?: string): Promise<string>",
        "make(profile: ProfileInput): Promise<ProfileOutput>",
    ],
)
def test_parameters_are_those_that_fastapi_reads_in_the_order_of_the_code(signature: str) -> None:
    for text in (FETCH, JARARACA):
        assert f"  async {signature} {{\n" in text


def test_middlewares_of_the_whole_application_have_their_parameters_in_every_method() -> None:
    text = generate(HttpMicroservice(app, middlewares=[Tenants]))
    assert "  async both(x_tenant: string | undefined, widget_id: number): Promise<void> {\n" in text
    methods = re.findall(r"^  async \w+\((.*)\): Promise", text, re.MULTILINE)
    assert methods and all("x_tenant" in parameters for parameters in methods)


def controller(name: str, path: str, **results: Any) -> type[Any]:
    """A controller with an endpoint for each result."""
    methods: dict[str, Any] = {}
    for told, result in results.items():

        async def one(self: object) -> Any: ...

        one.__name__, one.__annotations__["return"] = told, result
        methods[told] = Get(f"/{told}")(one)
    return RestController(path)(type(name, (), methods))


def test_what_would_share_a_name_is_refused() -> None:
    first, second = create_model("Same", a=(int, ...)), create_model("Same", b=(int, ...))
    with pytest.raises(ConfigurationError, match="two types are called Same"):
        generate(Microservice(controllers=[controller("Both", "/both", one=first, two=second)]))
    with pytest.raises(ConfigurationError, match="a type is called Both"):
        generate(Microservice(controllers=[controller("Both", "/both", one=create_model("Both", a=(int, ...)))]))
    with pytest.raises(ConfigurationError, match="a type is called Array"):
        generate(Microservice(controllers=[controller("Both", "/both", one=create_model("Array", a=(int, ...)))]))
    with pytest.raises(ConfigurationError, match="two methods of Both would be getOne"):
        generate(Microservice(controllers=[controller("Both", "/both", get_one=int, getOne=int)]))
    with pytest.raises(ConfigurationError, match="two controllers are called Both"):
        generate(Microservice(controllers=[controller("Both", "/a", one=int), controller("Both", "/b", one=int)]))
    with pytest.raises(ConfigurationError, match="fetch"):
        generate(app, runtime="axios")


APP = """
from ironbridge.app import Get, Microservice, RestController

@RestController("/notes")
class Notes:
    @Get("/")
    async def FIRST(self) -> int: ...

app = Microservice(controllers=[Notes])
"""


def test_a_watched_application_is_written_again_when_it_changes_and_after_it_was_broken(tmp_path: Path) -> None:
    source, written = tmp_path / "notes.py", tmp_path / "web/app.ts"
    source.write_text(APP)
    words = [sys.executable, "-m", "ironbridge.cli", "app", "gen-tsi", "notes:app", "web/app.ts", "--watch"]
    with Program(words, cwd=tmp_path) as program:
        wait_until(lambda: written.exists() and "async FIRST()" in written.read_text(), 20)
        source.write_text("this is no Python")
        wait_until(lambda: "SyntaxError" in program.output, 20)
        source.write_text(APP.replace("FIRST", "second"))
        wait_until(lambda: "async second()" in written.read_text(), 20)
        program.interrupt()
        assert program.wait_exit(20) == 0
