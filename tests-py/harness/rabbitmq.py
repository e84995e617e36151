"""A RabbitMQ of one's own: started in seconds, asked and told in milliseconds, gone without a trace.

It is started by Erlang directly instead of by its scripts, which drop root's rights, start programs that stay
(epmd) and load modules one by one. The node listens for no other node; what `rabbitmqctl` does is done by
expressions that the broker itself evaluates (`rabbitmq.erl`), through a socket in its folder.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.certificates import Authority
from harness.net import Address, dial, free_port
from harness.servers import PrivateServer

_CONTROL = Path(__file__).with_suffix(".erl")
_FLAGS = (
    "-noshell -boot start_sasl +W w +B i -syslog logger [] -syslog syslog_error_logger false "
    "-sname rabbit@localhost -start_epmd false -erl_epmd_port 1 -dist_listen false "
    "-kernel prevent_overlapping_partitions false "
    "+S 2:2 +SDcpu 1:1 +SDio 2 +A 1 +sbwt none +sbwtdcpu none +sbwtdio none"
)


class RabbitMQ(PrivateServer):
    """A broker with the user `guest` on the virtual host `/`; durable data outlive `restart` and `kill`.

    With an `authority` it listens on `tls_port` too, by that authority's certificate for `localhost`, and where
    `ask_certificate` is true it lets in no client without one. `settings` are lines for `rabbitmq.conf`
    (`heartbeat = 1`), `plugins` are names of plugins.
    """

    program = "rabbitmq"
    ready_line = "the private broker is ready"

    def __init__(
        self,
        port: int | None = None,
        *,
        authority: Authority | None = None,
        ask_certificate: bool = False,
        settings: Sequence[str] = (),
        plugins: Sequence[str] = (),
    ) -> None:
        super().__init__(port=port, start_deadline=60.0)
        self.authority = authority
        self.tls_port = free_port() if authority else 0
        self._ask_certificate = ask_certificate
        self._settings, self._plugins = settings, plugins

    def command(self) -> Sequence[str | Path]:
        (self.folder / "rabbitmq.conf").write_text("\n".join(self._configuration()) + "\n")
        (self.folder / "enabled_plugins").write_text(f"[{','.join(self._plugins)}].\n")
        plugins = (_home() / "plugins").iterdir()
        # The other plugins stay off the path: each folder in it costs time for every module.
        code = [
            path / "ebin" for path in plugins if not path.name.startswith("rabbitmq_") or "_prelaunch-" in path.name
        ]
        control = f'file:script("{_CONTROL}").'
        return ["erl", *_FLAGS.split(), "-pa", *code, "-eval", control, "-s", "rabbit", "boot", "-eval", control]

    def environment(self) -> Mapping[str, str]:
        folder = self.folder
        return {
            "HOME": str(folder),
            "ERL_LIBS": "",
            "ERL_ZFLAGS": "-start_epmd false",  # for whatever Erlang the broker itself starts
            "ERL_CRASH_DUMP_SECONDS": "0",
            "TERM": "dumb",
            "SYS_PREFIX": "",
            "RABBITMQ_HOME": str(_home()),
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PLUGINS_DIR": str(_home() / "plugins"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "config"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
        }

    # Where clients find it.

    def uri(
        self,
        user: str = "guest",
        password: str = "guest",
        vhost: str = "/",
        *,
        tls: bool = False,
        at: Address | None = None,
    ) -> str:
        """What a client is given; `at` is where it connects instead (a relay's address)."""
        host, port = at if isinstance(at, tuple) else self.address
        if tls:
            host, port = "localhost", port if at else self.tls_port
        who = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"{'amqps' if tls else 'amqp'}://{who}@{host}:{port}/{quote(vhost, safe='')}"

    # What a test says and asks.

    def eval(self, expression: str) -> str:
        """What an Erlang expression gives inside the broker: a binary as it is, anything else as Erlang prints it."""
        text = expression.encode()
        with dial(str(self.folder / "control"), 30.0) as stream:
            stream.sendall(len(text).to_bytes(4) + text)
            answer = _read(stream, int.from_bytes(_read(stream, 4))).decode()
        if answer[:1] == "-":
            raise RuntimeError(f"{answer[1:]}\nof {expression}")
        return answer[1:]

    def add_user(self, name: str, password: str, *vhosts: str, permissions: str = ".*") -> None:
        """A user who may do on `vhosts` (`/` when none is named) what `permissions` matches."""
        backend = "rabbit_auth_backend_internal"
        self.eval(f"{backend}:add_user({_binary(name)}, {_binary(password)}, {_ACTOR})")
        for vhost in vhosts or ("/",):
            self._permit(name, vhost, permissions)

    def add_vhost(self, name: str) -> None:
        """A virtual host that `guest` may use."""
        self.eval(f"rabbit_vhost:add({_binary(name)}, {_ACTOR})")
        self._permit("guest", name)

    def delete_vhost(self, name: str) -> None:
        """Removes a virtual host, whatever is in it, and the connections to it."""
        self.eval(f"rabbit_vhost:delete({_binary(name)}, {_ACTOR})")

    def queues(self, vhost: str = "/") -> dict[str, dict[str, Any]]:
        """By name: durable, auto_delete, arguments, consumers, and how many messages there are now."""
        keys = (
            "[name,durable,auto_delete,exclusive,arguments,consumers,messages,messages_ready,messages_unacknowledged]"
        )
        return self._named(f"rabbit_amqqueue:info_all({_binary(vhost)}, {keys})")

    def exchanges(self, vhost: str = "/") -> dict[str, dict[str, Any]]:
        """By name: type, durable, auto_delete, internal and arguments."""
        keys = "[name,type,durable,auto_delete,internal,arguments]"
        return self._named(f"rabbit_exchange:info_all({_binary(vhost)}, {keys})")

    def bindings(self, vhost: str = "/") -> list[dict[str, Any]]:
        """What leads from where to where: source_name, destination_name, routing_key and arguments."""
        keys = "[source_name,destination_name,routing_key,arguments]"
        return self._table(f"rabbit_binding:info_all({_binary(vhost)}, {keys})")

    def connections(self) -> list[dict[str, Any]]:
        """The clients that are connected: name, user, vhost, state, channels, client_properties."""
        keys = "[name,user,vhost,state,channels,timeout,frame_max,channel_max,ssl,auth_mechanism,client_properties]"
        return self._table(f"rabbit_networking:connection_info_all({keys})")

    def close_connections(self, reason: str = "closed by a test") -> None:
        """Closes every client's connection as an operator does: by a close of the protocol, with code 320."""
        self.eval(
            f"[rabbit_networking:close_connection(Pid, {_string(reason)}) || Pid <- rabbit_networking:connections()]"
        )

    def delete_queue(self, name: str, vhost: str = "/") -> None:
        """Deletes a queue with what is in it; its consumers are told."""
        resource = f"rabbit_misc:r({_binary(vhost)}, queue, {_binary(name)})"
        self.eval(
            f"{{ok, Queue}} = rabbit_amqqueue:lookup({resource}),"
            f"{{ok, _}} = rabbit_amqqueue:delete(Queue, false, false, {_ACTOR})"
        )

    def block(self) -> None:
        """Says that memory is short: clients that publish are told, and no longer read from."""
        # Asking for the alarms, too: it is set when they are told.
        self.eval("rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}), rabbit_alarm:get_alarms()")

    def unblock(self) -> None:
        self.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()})")

    def reset(self) -> None:
        """Ends every connection and forgets all that was added: messages, queues, virtual hosts, users, alarms."""
        self.unblock()
        self.eval(
            f"[ok = rabbit_vhost:delete(Name, {_ACTOR}) || Name <- rabbit_vhost:list_names()],"
            f"[rabbit_auth_backend_internal:delete_user(Name, {_ACTOR})"
            ' || Row <- rabbit_auth_backend_internal:list_users(), {user, Name} <- Row, Name =/= <<"guest">>]'
        )
        self.add_vhost("/")

    # Inner workings.

    def _configuration(self) -> list[str]:
        lines = [
            f"listeners.tcp.1 = {self.host}:{self.port}",
            "loopback_users = none",
            "log.file = false",
            "log.console = true",
            "log.console.level = warning",
            "disk_free_limit.absolute = 1MB",
        ]
        if self.authority:
            lines += [
                f"listeners.ssl.1 = {self.host}:{self.tls_port}",
                f"ssl_options.cacertfile = {self.authority.ca}",
                f"ssl_options.certfile = {self.authority.folder / 'certificate.pem'}",
                f"ssl_options.keyfile = {self.authority.folder / 'key.pem'}",
                f"ssl_options.verify = {'verify_peer' if self._ask_certificate else 'verify_none'}",
                f"ssl_options.fail_if_no_peer_cert = {'true' if self._ask_certificate else 'false'}",
            ]
        return [*lines, *self._settings]

    def _permit(self, user: str, vhost: str, permissions: str = ".*") -> None:
        words = ", ".join(_binary(word) for word in (user, vhost, permissions, permissions, permissions))
        self.eval(f"rabbit_auth_backend_internal:set_permissions({words}, {_ACTOR})")

    def _named(self, rows: str) -> dict[str, dict[str, Any]]:
        return {row.pop("name"): row for row in self._table(rows)}

    def _table(self, rows: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            self.eval(f"{_AS_JSON}, rabbit_json:encode([Plain(R) || R <- {rows}])")
        )
        return found


_ACTOR = '<<"harness">>'
_AS_JSON = """
Plain = fun Plain(Term) ->
    case Term of
        {resource, _, _, Name} -> Name;
        {Key, Type, Value} when is_binary(Key), is_atom(Type) -> {Key, Plain(Value)};
        {Key, Value} when is_atom(Key); is_binary(Key) -> {Key, Plain(Value)};
        [] -> #{};
        [Item | _] when is_tuple(Item) -> maps:from_list([Plain(Each) || Each <- Term]);
        _ when is_list(Term) -> [Plain(Each) || Each <- Term];
        '' -> false;
        _ when is_pid(Term) -> list_to_binary(pid_to_list(Term));
        _ -> Term
    end
end
"""


def _home() -> Path:
    """Where RabbitMQ is installed."""
    homes = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    assert homes, "rabbitmq-server is not installed: `make setup` installs it"
    return homes[-1]


def _string(text: str) -> str:
    """Text as an Erlang string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _binary(text: str) -> str:
    """Text as an Erlang binary, in UTF-8."""
    return f"<<{_string(text)}/utf8>>"


def _read(stream: socket.socket, count: int) -> bytes:
    piece = b""
    while len(piece) < count:
        more = stream.recv(count - len(piece))
        if not more:
            raise ConnectionError("the broker ended")
        piece += more
    return piece
