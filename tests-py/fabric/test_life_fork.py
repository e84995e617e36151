"""Programs that fork: the child is told that a connector is its parent's, and the parent goes on."""

from __future__ import annotations

import pytest

from fabric.program import program

FORKS = {
    "without a loop": """
        with connector(keep_alive_seconds=0.1) as there:
            there.rpc_register(Api())
            calling = proxy(there)
            assert calling.mirror(value=1) == 1
            child = os.fork()
            if not child:
                for use in (
                    lambda: calling.mirror(value=1),
                    lambda: proxy(there),
                    lambda: there.publish_data(b"", {}),
                    lambda: there.subscribe_data("sub", {"n": 1}, print),
                    lambda: there.list_services(),
                    lambda: there.rpc_register(Other()),
                ):
                    try:
                        use()
                        print("child: done", flush=True)
                    except IronbridgeError as error:
                        print("child:", type(error).__name__, flush=True)
                with connector("child") as own:
                    own.rpc_register(Api())
                    print("child:", proxy(own).mirror(value="here"), proxy(own, "child").mirror(value="own"), flush=True)
                sys.exit(0)
            print("child ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            assert calling.mirror(value=2) == 2
            there.publish_data(b"", {})
            print("parent goes on", flush=True)
        """,
    "on a loop": """
        async def main():
            async with connector(keep_alive_seconds=0.1) as there:
                await there.rpc_register(Api())
                calling = await proxy(there)
                assert await calling.mirror(value=1) == 1
                child = os.fork()
                if not child:
                    for use in (
                        lambda: calling.mirror(value=1),
                        lambda: proxy(there),
                        lambda: there.publish_data(b"", {}),
                        lambda: there.subscribe_data("sub", {"n": 1}, print),
                        lambda: there.list_services(),
                        lambda: there.rpc_register(Other()),
                    ):
                        try:
                            used = use()
                            if hasattr(used, "__await__"):
                                await used
                            print("child: done", flush=True)
                        except IronbridgeError as error:
                            print("child:", type(error).__name__, flush=True)
                    print("child: here own", flush=True)
                    os._exit(0)
                print("child ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
                assert await calling.mirror(value=2) == 2
                await there.publish_data(b"", {})
                print("parent goes on", flush=True)
        asyncio.run(main())
        """,
}


@pytest.mark.parametrize("how", FORKS)
def test_a_forked_child_is_told_and_its_parent_goes_on(vhost: str, how: str) -> None:
    with program(FORKS[how], vhost) as running:
        assert running.wait_exit(20) == 0, running.output
        children = [line for line in running.stdout if line.startswith("child:")]
        assert children == ["child: ConfigurationError"] * 6 + ["child: here own"], running.output
        assert "child ended 0" in running.stdout and "parent goes on" in running.stdout, running.output
        assert not running.stderr, running.output
