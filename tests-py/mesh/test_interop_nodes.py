"""What our node and Moleculer.js's tell each other of themselves: pings, `$node`, services that go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest
import pytest_asyncio

from mesh.nodes import CROSSED, OURS, THEIRS, Met, meet, meeting_at, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=CROSSED, ids="-".join)
async def met(request: pytest.FixtureRequest) -> AsyncIterator[Met]:
    protocol, server = request.param
    with ExitStack() as started:
        place = meeting_at(request, server, started)
        async with meet(place, protocol, theirs=["who", "math"], services=["py-math", "py-guarded"]) as met:
            yield met


async def test_each_answers_the_other_s_ping(met: Met) -> None:
    assert (await met.ask(met.js.ping, OURS))["nodeID"] == OURS
    pong = await met.broker.ping(THEIRS)
    assert pong["nodeID"] == THEIRS and pong["elapsedTime"] < 2000


async def test_the_peer_knows_our_services_as_they_are(met: Met) -> None:
    info = await met.ask(met.js.ask, "info", node=OURS)
    assert (info["client"]["type"], info["instanceID"]) == ("python", met.broker.instance_id)
    services = {one["fullName"]: one for one in info["services"]}
    assert services["v2.py-math"]["settings"] == {"prec": 2}
    assert services["v2.py-math"]["metadata"] == {"scalable": True}
    assert "py-guarded.private" not in services["py-guarded"]["actions"]
    assert met.broker.get_registry().nodes[THEIRS].client["type"] == "nodejs"


async def test_our_service_node_answers_as_theirs_does(met: Met) -> None:
    nodes = await met.ask(met.js.call, "$node.list", nodeID=OURS)
    assert {one["id"] for one in nodes} == {OURS, THEIRS}
    for name in ("services", "actions", "events"):
        found = await met.ask(met.js.call, f"$node.{name}", {"skipInternal": True}, nodeID=OURS)
        assert found or name == "events"
    health = await met.ask(met.js.call, "$node.health", nodeID=OURS)
    assert set(health) == set(await met.broker.call("$node.health", node_id=THEIRS))


async def test_a_service_that_the_peer_destroys_is_forgotten_here(met: Met) -> None:
    await met.ask(met.js.ask, "destroy", service="who")
    await until(lambda: not any(one.name == "who" for one in met.broker.get_services()), "the service was still there")
