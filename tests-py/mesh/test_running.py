"""Services from files: loaded at run time, and again when they change."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path

import pytest
from ironbridge._mesh.running.hot import HotReload
from ironbridge._mesh.running.loaded import Loaded
from ironbridge.errors import ConfigurationError
from ironbridge.mesh import Broker, ServiceNotFoundError, ServiceSchemaError

from mesh.greeting import written


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that are loaded from are not looked in afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def broker(namespace: str) -> Broker:
    return Broker("one", transporter="memory", namespace=namespace)


# ---- loading -------------------------------------------------------------------------------------------------


async def test_a_file_is_loaded_at_run_time_and_once_more_as_it_is_then(broker: Broker, tmp_path: Path) -> None:
    file, loaded = written(tmp_path / "greeting.py", "one"), Loaded(broker)
    async with broker:
        [service] = await loaded.load(str(file))
        await broker.wait_for_services("greeter", 5000)
        assert await broker.call("greeter.hello") == "one"
        # Of the same second and size: compiled code of it would be taken for fresh.
        written(file, "two")
        [again] = await loaded.load(str(file))
        assert again is not service
        await broker.wait_for_services("greeter", 5000)
        assert await broker.call("greeter.hello") == "two"
        assert [one.full_name for one in broker.services] == ["$node", "greeter"]


@pytest.mark.parametrize("path", ["{module}:Greeter", "{module}", "{module}.py:Greeter", "{module}.py:SCHEMA"])
async def test_what_is_served_is_named_by_module_or_file_with_or_without_its_service(
    broker: Broker, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Modules of before are known in this process.
    module = f"greeting_{abs(hash(path))}"
    file = written(tmp_path / f"{module}.py", "hello")
    file.write_text(file.read_text() + "\nSCHEMA = {'name': 'greeter', 'actions': {'hello': lambda ctx: 'hello'}}\n")
    await Loaded(broker).load(path.format(module=module))
    async with broker:
        assert await broker.call("greeter.hello") == "hello"


async def test_a_folder_is_loaded_with_those_in_it_and_files_without_services_are_passed_over(
    broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "deeper").mkdir()
    written(tmp_path / "a.py", "a", "a")
    # Named as one of Python's own, and as one above.
    written(tmp_path / "deeper" / "email.py", "b", "b")
    written(tmp_path / "deeper" / "a.py", "c", "c")
    written(tmp_path / "_hidden.py", "d", "d")
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    import email

    made = await Loaded(broker).load_folder(str(tmp_path))
    assert sorted(service.name for service in made) == ["a", "b", "c"]
    assert sys.modules["email"] is email
    del sys.modules["email"]
    assert importlib.import_module("email").__file__ == email.__file__
    masked = Broker("two", transporter="memory", namespace=broker.namespace)
    assert [one.name for one in await Loaded(masked).load_folder(str(tmp_path), "deeper/e*.py")] == ["b"]


async def test_what_cannot_be_loaded_leaves_what_is_served(broker: Broker, tmp_path: Path) -> None:
    file, loaded = written(tmp_path / "greeting.py", "one"), Loaded(broker)
    async with broker:
        await loaded.load(str(file))
        file.write_text("this is (")
        with pytest.raises(SyntaxError):
            await loaded.load(str(file))
        file.write_text("VALUE = 1\n")
        with pytest.raises(ConfigurationError, match="has no service"):
            await loaded.load(str(file))
        # It is made and refused after that of before has gone.
        written(file, "three", "$node")
        with pytest.raises(ServiceSchemaError, match=r"\$node"):
            await loaded.load(str(file))
        await broker.wait_for_services("greeter", 5000)
        assert await broker.call("greeter.hello") == "one"
        with pytest.raises(ConfigurationError, match="no file"):
            await loaded.load(str(tmp_path / "nothing.py"))
        with pytest.raises(ConfigurationError, match="has no 'Nothing'"):
            await loaded.load(f"{written(file, 'four')}:Nothing")
        with pytest.raises(ConfigurationError, match="no folder"):
            await loaded.load_folder(str(tmp_path / "nothing"))


async def test_a_service_that_is_destroyed_while_it_waits_is_never_served(broker: Broker) -> None:
    started: list[str] = []
    async with broker:
        waiting = broker.create_service(
            {"name": "waits", "dependencies": ["late"], "started": lambda: started.append("waits"), "actions": {}}
        )
        await asyncio.sleep(0)
        await broker.destroy_service(waiting)
        broker.create_service({"name": "late", "actions": {"act": lambda ctx: 1}})
        broker.create_service({"name": "after", "dependencies": ["late"], "actions": {"act": lambda ctx: 1}})
        await broker.wait_for_services("after", 5000)
        assert started == [] and not broker._node.has_service("waits")


# ---- reloading -----------------------------------------------------------------------------------------------


async def test_a_service_is_loaded_again_when_its_file_changes_and_only_then(broker: Broker, tmp_path: Path) -> None:
    file, loaded = written(tmp_path / "greeting.py", "one"), Loaded(broker)
    other = written(tmp_path / "other.py", "other", "other")
    async with broker:
        await loaded.load(str(file))
        [kept] = await loaded.load(str(other))
        hot = HotReload(broker, loaded)
        await hot.look()
        assert await broker.call("greeter.hello") == "one"
        written(file, "two")
        await hot.look()
        await broker.wait_for_services("greeter", 5000)
        assert await broker.call("greeter.hello") == "two"
        assert kept in broker.services


async def test_a_file_that_is_broken_or_away_for_a_while_changes_nothing_until_it_is_whole(
    broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, loaded = written(tmp_path / "greeting.py", "one"), Loaded(broker)
    async with broker:
        await loaded.load(str(file))
        hot = HotReload(broker, loaded)
        file.unlink()
        await hot.look()
        file.write_text("this is (")
        await hot.look()
        await hot.look()
        assert await broker.call("greeter.hello") == "one"
        assert caplog.text.count("cannot be loaded") == 1
        written(file, "two")
        await hot.look()
        await broker.wait_for_services("greeter", 5000)
        assert await broker.call("greeter.hello") == "two"


async def test_new_files_of_a_folder_are_loaded_once(broker: Broker, tmp_path: Path) -> None:
    written(tmp_path / "a.py", "a", "a")
    (tmp_path / "helper.py").write_text("import builtins\nbuiltins.times = getattr(builtins, 'times', 0) + 1\n")
    loaded = Loaded(broker)
    async with broker:
        await loaded.load_folder(str(tmp_path))
        hot = HotReload(broker, loaded)
        written(tmp_path / "b.py", "b", "b")
        with pytest.raises(ServiceNotFoundError):
            await broker.call("b.hello")
        await hot.look()
        await broker.wait_for_services("b", 5000)
        assert await broker.call("b.hello") == "b"
    import builtins

    assert builtins.__dict__.pop("times") == 1
