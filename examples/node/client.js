// A client of the bridge: `await connect("name")`, or `await connect("tcp://host:port/name", { token })`.
import { randomBytes } from "node:crypto";
import { connect as openSocket } from "node:net";
import { find } from "./leases.js";
import * as wire from "./wire.js";

const { Kind } = wire;
const INSTANCE = 1;
const FATES = ["executed", "not sent", "outcome unknown", "rejected"];

export class BridgeError extends Error {
  constructor(code, fate, message, detail = {}) {
    super(message);
    this.name = detail.type ?? "BridgeError";
    Object.assign(this, { code, fate: FATES[fate] ?? "outcome unknown", remoteTraceback: detail.traceback });
  }
}

// Connects. `args` and `kwargs` are the constructor's; `timeout` in seconds is each call's.
export async function connect(target, { token, args = [], kwargs = {}, timeout = 60 } = {}) {
  const tcp = /^tcp:\/\/(.+):(\d+)\/(.+)$/.exec(target);
  if (tcp) {
    const [, host, port, service] = tcp;
    return introduce({ host, port: Number(port) }, { service, token, args, kwargs, timeout });
  }
  let last = new BridgeError(2, 1, `no process of this user serves ${JSON.stringify(target)}`);
  for (const lease of find(target)) {
    try {
      return await introduce({ path: lease.socket }, { service: target, nonce: lease.nonce, args, kwargs, timeout });
    } catch (error) {
      last = error; // a dead daemon's lease: the next may live
    }
  }
  throw last;
}

async function introduce(address, { service, nonce, token, args, kwargs, timeout }) {
  const connection = new Connection(openSocket(address));
  try {
    await sayHello(connection, service, nonce, token);
    connection.send(wire.bind(INSTANCE, args, kwargs));
    const client = new Client(connection, timeout);
    const schema = JSON.parse(await client.request(wire.DESCRIBE, 0, [], {}));
    for (const endpoint of schema.endpoints) client.endpoints.set(endpoint.name, endpoint);
    return client;
  } catch (error) {
    connection.close();
    throw error;
  }
}

async function sayHello(connection, service, nonce, token) {
  const client_nonce = token ? randomBytes(32) : Buffer.alloc(0);
  const hello = {
    versions: [1, 1],
    capabilities: 0,
    service,
    ...(nonce && { nonce }),
    mode: "multiplexed",
    lane: "plain",
    max_frame: 64 << 20,
    client_nonce,
  };
  connection.send(Buffer.concat([wire.MAGIC, wire.message(Kind.hello, hello)]));
  let frame = await connection.receive();
  let server_nonce;
  if (frame.kind === Kind.challenge) {
    if (!token) throw new BridgeError(10, 1, `service ${service} asks for a token`);
    server_nonce = wire.readMessage(frame).server_nonce;
    const proof = wire.clientProof(token, client_nonce, server_nonce);
    connection.send(wire.message(Kind.proof, { proof }));
    frame = await connection.receive();
  }
  if (frame.kind !== Kind.welcome) throw refusal(frame);
  const { proof } = wire.readMessage(frame);
  if (server_nonce && !wire.isServerProof(proof, token, client_nonce, server_nonce)) {
    throw new BridgeError(10, 1, `what answers for service ${service} does not know its token`);
  }
}

function refusal(frame) {
  if (frame.kind !== Kind.refuse) return new BridgeError(11, 1, `a frame of kind ${frame.kind} in the handshake`);
  const { code, message } = wire.readMessage(frame);
  return new BridgeError(code, 1, message);
}

// Frames over a socket.
class Connection {
  #socket;
  #bytes = Buffer.alloc(0);
  #waiting = [];
  #arrived = [];
  #failure;

  constructor(socket) {
    this.#socket = socket;
    socket.on("data", (bytes) => this.#take(Buffer.concat([this.#bytes, bytes])));
    socket.on("error", (error) => this.#end(error.message));
    socket.on("close", () => this.#end("the service closed the connection"));
  }

  send(bytes) {
    this.#socket.write(bytes);
  }

  close() {
    this.#socket.destroy();
  }

  receive() {
    if (this.#arrived.length > 0) return Promise.resolve(this.#arrived.shift());
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #take(bytes) {
    for (let found; (found = wire.takeFrame(bytes)); bytes = found.rest) {
      const waiter = this.#waiting.shift();
      if (waiter) waiter.resolve(found.taken);
      else this.#arrived.push(found.taken);
    }
    this.#bytes = bytes;
  }

  #end(reason) {
    this.#failure ??= new BridgeError(6, 2, reason);
    for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#failure);
  }
}

class Client {
  endpoints = new Map();
  #connection;
  #timeout;
  #calls = new Map();
  #last = 0;

  constructor(connection, timeout) {
    this.#connection = connection;
    this.#timeout = timeout;
    this.#read();
  }

  // Calls an endpoint by name.
  async call(name, args = [], kwargs = {}) {
    const endpoint = this.endpoints.get(name);
    if (!endpoint) throw new BridgeError(4, 1, `no endpoint ${name}; there is ${[...this.endpoints.keys()].join(", ")}`);
    return this.request(endpoint.id, endpoint.kind === "instance" ? INSTANCE : 0, args, kwargs);
  }

  request(endpoint, instance, args, kwargs) {
    const call = ++this.#last;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#connection.send(wire.cancel(call));
        this.#settle(call)?.reject(new BridgeError(5, 2, "the call's deadline passed"));
      }, this.#timeout * 1000);
      this.#calls.set(call, { resolve, reject, timer });
      this.#connection.send(wire.request(call, endpoint, instance, this.#timeout, args, kwargs));
    });
  }

  close() {
    this.#connection.close();
  }

  async #read() {
    try {
      for (;;) {
        const frame = await this.#connection.receive();
        if (frame.kind === Kind.refuse) throw refusal(frame);
        if (frame.kind !== Kind.reply) continue; // Drain: replies to calls in flight still come
        const { call, code, fate, value } = wire.readReply(frame);
        const waiter = this.#settle(call);
        if (code === 0) waiter?.resolve(value);
        else waiter?.reject(new BridgeError(code, fate, value.message, value));
      }
    } catch (error) {
      for (const call of [...this.#calls.keys()]) this.#settle(call).reject(error);
    }
  }

  #settle(call) {
    const waiter = this.#calls.get(call);
    this.#calls.delete(call);
    clearTimeout(waiter?.timer);
    return waiter;
  }
}
