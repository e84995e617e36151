"""TLS towards a service on another machine: whom a caller trusts, and what it is told otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import ironbridge.bridge as meta
import pytest
from harness import Authority, Program, free_port

Start = Callable[..., Program]

TOKEN = "t" * 43


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def only_one_place_for_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


@pytest.fixture
def port(start: Start, authority: Authority) -> int:
    """A service with that certificate listens there."""
    chosen = free_port()
    program = start(
        f"""
        import sys
        import ironbridge.bridge as meta

        folder = {str(authority.folder)!r}
        tls = {{"tls_cert": f"{{folder}}/certificate.pem", "tls_key": f"{{folder}}/key.pem"}}
        meta.create("secure", host="127.0.0.1", port={chosen}, token="{TOKEN}", **tls).register(len)
        handle = meta.run()
        print("up", flush=True)
        sys.stdin.readline()
        """
    )
    program.wait_line("up")
    return chosen


def test_the_systems_authorities_are_trusted_where_no_other_is_named(
    port: int, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.pem"))
    with meta.connect(f"tls://localhost:{port}/secure", token=TOKEN) as client:
        assert client.len("four") == 4


def test_a_certificate_that_the_system_does_not_trust_is_refused_and_can_be_named(
    port: int, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path).folder / "ca.pem"))
    address = f"tls://localhost:{port}/secure"
    with pytest.raises(meta.AuthenticationError, match=re.escape("name it with tls_ca=")):
        meta.connect(address, token=TOKEN)
    with meta.connect(address, token=TOKEN, tls_ca=str(authority.folder / "ca.pem")) as client:
        assert client.len("four") == 4


def test_a_certificate_is_good_for_the_names_in_it_alone(
    port: int, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.pem"))
    with pytest.raises(meta.AuthenticationError, match="another host name"):
        meta.connect(f"tls://127.0.0.1:{port}/secure", token=TOKEN)


def test_a_system_without_authorities_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(empty))
    with pytest.raises(meta.ConfigurationError, match="names no authorities"):
        meta.connect("tls://localhost:1/secure", token=TOKEN, timeout=1)


def test_without_tls_a_service_that_asks_for_it_is_not_reached(port: int) -> None:
    with pytest.raises(meta.ServiceUnavailable, match="reached over TLS, by tls://") as caught:
        meta.connect(f"tcp://localhost:{port}/secure", token=TOKEN, timeout=1)
    assert not caught.value.may_have_run


def test_a_service_with_a_certificate_tells_how_to_connect_over_tls(start: Start, authority: Authority) -> None:
    program = start(
        f"""
        import os
        os.environ["XDG_STATE_HOME"] = os.getcwd()
        import ironbridge.bridge as meta

        folder = {str(authority.folder)!r}
        tls = {{"tls_cert": f"{{folder}}/certificate.pem", "tls_key": f"{{folder}}/key.pem"}}
        meta.create("secure", host="127.0.0.1", **tls).register(len)
        meta.run().stop()
        """
    )
    assert program.wait_exit() == 0, program.output
    program.wait_line(r'^connect\("tls://127.0.0.1:\d+/secure", token="\w+"\)$')
