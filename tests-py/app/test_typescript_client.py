"""The generated client: compiled, and run against the application that it is of."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
import uvicorn
from harness import free_port, wait_until
from ironbridge._app.tsi.generating import generate
from ironbridge._app.tsi.writing import write
from ironbridge.errors import ConfigurationError

from app.typed_models import WidgetChanged
from app.typed_services import http_app, web_app
from app.typescript import compiled

ONE = "00000000-0000-0000-0000-000000000001"

PROGRAM = f"""
import {{ Bodies, Color, FetchBackend, HttpError, Others, Widgets, readWebSocketMessage }} from "./app.js";
import type {{ Cat, Dog, Node }} from "./app.js";

declare const process: {{ argv: string[] }};
const backend = new FetchBackend(process.argv[2], {{ headers: {{ "x-tenant": "from options" }} }});
const [widgets, bodies, others] = [new Widgets(backend), new Bodies(backend), new Others(backend)];
const told: {{ [name: string]: unknown }} = {{}};

async function failure(call: Promise<unknown>): Promise<unknown> {{
  return call.then(
    () => "nothing failed",
    (error) => (error instanceof HttpError ? [error.status, error.body.detail[0].loc] : String(error)),
  );
}}

const owner = {{ ownerId: "{ONE}", nickName: "bob" }};
told.query = await widgets.listWidgets(3, [Color.RED, Color.LIGHT_BLUE]);
told.defaults = await widgets.listWidgets();
told.header = await widgets.getWidget(7, "trace", true);
told.split = await widgets.make({{ userName: "ann", passWord: "x" }});
told.nothing = (await widgets.both(1)) ?? "nothing";
told.paged = await widgets.paged({{ page: 4, pageSize: 2 }});
told.untold = await widgets.untold();

told.several = await bodies.several(owner, ["x", "y"], 9);
told.embedded = await bodies.embedded(owner);
told.listed = await bodies.listed([owner, {{ ownerId: "{ONE}" }}]);
told.table = await bodies.table({{ some_key: 2, ownerId: 3, __proto: 1, constructor: 4 }});
told.owners = await bodies.owners({{ owner_id: owner }});
const cat: Cat = {{ petKind: "cat", clawCount: 18 }};
const dog: Dog = {{ petKind: "dog", clawCount: "many", barkVolume: 11 }};
told.pets = await bodies.pets([cat, dog, {{ claw_count: 1, pet_kinds: 2 }}]);
const leaf: Node = {{ nodeName: "leaf" }};
told.node = await bodies.node({{ nodeName: "root", subNodes: [leaf], parentNode: null }});
told.folder = await bodies.folder({{ some_folder: {{ one_file: 1 }} }});
told.renamed = await bodies.renamed({{ firstName: "ann", "other-name": 2 }});
told.byName = await bodies.byName({{ firstName: "ann", "other-name": 2 }});
const small = {{ widthInCm: 1 }};
told.sized = await bodies.sized({{ widthInCm: 2, height: 3 }}, {{ leftSide: small, rightSide: small }});
told.derived = await bodies.derived({{ baseId: 1, ownValue: 2 }}, {{ baseId: 3, baseNote: "n" }});
told.files = await bodies.files(new File(["12345"], "five.txt"), [new File(["1"], "a"), new File(["22"], "b")], "a note");
told.form = await bodies.form({{ userName: "ann", yearsOld: 3 }});
told.forms = [await bodies.forms({{ passWord: "x" }}), await bodies.forms({{ userName: "ann", yearsOld: 3 }})];
told.fields = await bodies.fields("ann");

told.text = await others.text();
told.blob = [...new Uint8Array(await (await others.blob()).arrayBuffer())];
told.plain = await others.plain();
told.headers = await others.headers(undefined, {{ traceId: "t", spanId: "s" }}, "cookie", "raw");
told.model = await others.query("", {{ pageSize: 5, sort: "age", colors: [Color.RED] }}, 7);
told.path = await others.delete("me", "a b/c?d", 1, "a");
told.either = [await others.either(), await others.eitherPost()];

told.invalid = await failure(bodies.listed([{{ ownerId: "no id" }}]));
told.late = await failure(new Widgets(new FetchBackend(process.argv[3], {{ timeout: 50 }})).listWidgets());
const aborted = () => ({{ signal: AbortSignal.abort() }});
told.ended = await failure(new Widgets(new FetchBackend(process.argv[2], aborted)).listWidgets());
told.socket = await readWebSocketMessage(new Blob([process.argv[4] ?? ""]));
console.log(JSON.stringify(told));
"""

OWNER = {"ownerId": ONE, "nickName": "bob"}

EXPECTED = {
    "query": ["3", "red", "light_blue"],
    "defaults": ["0"],
    "header": {
        "content": {"ownerId": str(UUID(int=7)), "nickName": "trace True"},
        "madeAt": "2024-02-29T00:00:00",
    },
    "split": {"userName": "ann", "bioText": None, "tagList": [], "nameLength": 3},
    "nothing": "nothing",
    "paged": {"items": [{"ownerId": ONE, "nickName": None}], "total": 1, "unpaginatedTotal": 4, "totalPages": 1},
    "untold": {"some_key": 1},
    "several": "bob: x, y 9",
    "embedded": OWNER,
    "listed": 2,
    "table": {"some_key": 2, "ownerId": 3, "__proto": 1, "constructor": 4},
    "owners": {"owner_id": OWNER},
    "pets": [
        {"petKind": "cat", "clawCount": 18},
        {"petKind": "dog", "clawCount": "many", "barkVolume": 11},
        {"claw_count": 1, "pet_kinds": 2},
    ],
    "node": {
        "nodeName": "root",
        "subNodes": [{"nodeName": "leaf", "subNodes": [], "parentNode": None}],
        "parentNode": None,
    },
    "folder": {"some_folder": {"one_file": 1}},
    "renamed": {"firstName": "ann", "other-name": 2},
    "byName": {"firstName": "ann", "other-name": 2},
    "sized": {"leftSide": {"widthInCm": 1}, "rightSide": {"widthInCm": 2, "height": 3}},
    "derived": [{"baseId": 1, "baseNote": None}, {"baseId": 3, "baseNote": "n"}],
    "files": "five.txt: 5, [1, 2], a note",
    "form": "ann 3",
    "forms": ["SignIn", "SignUp"],
    "fields": "ann None",
    "text": '"plain"',
    "blob": [0, 1],
    "plain": "no json",
    "headers": "t s cookie raw",
    "model": "5 age ['red'] 7",
    "path": "a b/c?d 1 a",
    "either": ["either", "either"],
    "invalid": [422, ["body", 0, "owner_id"]],
    "late": "TimeoutError: no answer within 50 ms",
    "ended": "AbortError: This operation was aborted",
    "socket": {"MESSAGE_ID": "widget.changed", "message": {"widgetId": ONE, "newPrice": 1.5}},
}


@pytest.fixture
def address() -> Iterator[str]:
    """The application, served."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(web_app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started or not thread.is_alive(), 20)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections, and says nothing."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_the_client_sends_what_the_application_reads_and_reads_what_it_sends(
    address: str, silent: str, tmp_path: Path
) -> None:
    (tmp_path / "app.ts").write_text(generate(http_app))
    (tmp_path / "main.ts").write_text(PROGRAM)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    compiled(tmp_path, "main.ts", emit=True)
    message = WidgetChanged(widget_id=UUID(ONE), new_price=1.5).encoded().decode()
    words = ["node", str(tmp_path / "main.js"), address, silent, message]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXPECTED


def test_a_file_that_would_be_the_same_is_left_alone(tmp_path: Path) -> None:
    written = tmp_path / "web" / "app.ts"
    write("app.typed_services:http_app", written)
    before = written.stat()
    write("app.typed_services:http_app", written)
    assert written.stat().st_mtime_ns == before.st_mtime_ns
    written.chmod(0o600)
    write("app.typed_services:http_app", written, runtime="jararaca")
    assert "@jararaca/core" in written.read_text()
    assert written.stat().st_mode & 0o777 == 0o600


def test_a_command_is_run_on_what_is_written_and_on_what_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "app.ts"
    write("app.typed_services:app", written, post_process="sed -i s/Widgets/Gadgets/ {file}")
    assert "export class Gadgets" in written.read_text()
    write("app.typed_services:app", None, stdout=True, post_process="sed -i s/Widgets/Gadgets/ {file}")
    assert capsys.readouterr().out == written.read_text()
    before = written.read_bytes()
    for command, told in (("no-such-command {file}", "cannot be run"), ("false", "ended with 1"), ("", "empty")):
        with pytest.raises(ConfigurationError, match=told):
            write("app.typed_services:app", written, post_process=command, runtime="jararaca")
    assert (written.read_bytes(), list(tmp_path.iterdir())) == (before, [written])


def test_a_file_or_the_standard_output_must_be_said() -> None:
    with pytest.raises(ConfigurationError, match="--stdout"):
        write("app.typed_services:app", None)
