"""`create`, `.daemon` and `.register`: what they accept and refuse, before anything is started."""

from __future__ import annotations

import itertools
from typing import Any

import ironbridge.bridge as meta
import pytest

_numbers = itertools.count()


@pytest.fixture
def name() -> str:
    return f"registered-{next(_numbers)}"


def test_there_is_one_registration_of_a_name(name: str) -> None:
    first = meta.create(name)
    assert meta.create(name, cache_size=7) is first
    assert first.options["cache_size"] == 7


def test_the_class_stays_what_it_was(name: str) -> None:
    class Service:
        @meta.function
        def get(self) -> int:
            return 1

    assert meta.create(name).daemon()(Service) is Service
    assert Service().get() == 1

    @meta.create(name).daemon
    class Bare:
        pass

    assert Bare.__name__ == "Bare"


def test_functions_are_registered_under_their_names(name: str) -> None:
    service = meta.create(name)

    @service.register
    def one() -> None: ...

    @service.register(name="deux")
    def two() -> None: ...

    service.register(max, "largest")
    assert [endpoint.name for endpoint in service.endpoints()] == ["one", "deux", "largest"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"port": 70000}, "port is a whole number from 0 to 65535"),
        ({"port": True}, "port is a whole number"),
        ({"cache_size": 0}, "cache_size"),
        ({"cache_ttl": 0}, "cache_ttl"),
        ({"on_evict": "explode"}, "'rebuild' or 'error'"),
        ({"tls_cert": "x.pem"}, "both tls_cert and tls_key"),
    ],
)
def test_what_is_out_of_range_is_refused(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(meta.ConfigurationError, match=told):
        meta.create(name, **options)


@pytest.mark.parametrize("bad", ["", "a/b", "tab\t", "x" * 129, 3, None])
def test_what_cannot_be_a_name_is_refused(bad: Any) -> None:
    with pytest.raises(meta.ConfigurationError, match="service's name"):
        meta.create(bad)


def test_misuse_is_told_what_to_do(name: str) -> None:
    service = meta.create(name)
    with pytest.raises(meta.ConfigurationError, match=r"use register\(\)"):
        service.daemon()(print)  # type: ignore[type-var]
    with pytest.raises(meta.ConfigurationError, match=r"use daemon\(\)"):
        service.register(dict)
    with pytest.raises(meta.ConfigurationError, match="lambda"):
        service.register(lambda: None)
    with pytest.raises(meta.ConfigurationError, match="workers is a whole number from 1"):
        service.daemon(workers=0)
    with pytest.raises(meta.ConfigurationError, match="has no endpoint"):
        service.run()
    with pytest.raises(meta.ConfigurationError, match="startup_timeout"):
        service.run(startup_timeout=0)
    with pytest.raises(meta.ConfigurationError, match="no service 'nobody'"):
        meta.run("nobody")


def test_a_class_without_endpoints_is_named(name: str) -> None:
    class Empty:
        def unmarked(self) -> None: ...

    meta.create(name).daemon()(Empty)
    with pytest.raises(meta.ConfigurationError, match=r"Empty.*mark methods with @function"):
        meta.run(name)
