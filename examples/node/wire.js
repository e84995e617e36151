// Frames and handshake of the bridge, as docs/protocol.md tells them. No I/O.
import { createHmac, timingSafeEqual } from "node:crypto";
import { ExtensionCodec, decode, encode } from "@msgpack/msgpack";

export const MAGIC = Buffer.from("ironbrdg");
export const Kind = { hello: 1, challenge: 2, proof: 3, welcome: 4, refuse: 5, bind: 6, request: 7, reply: 8, cancel: 9, drain: 10 };
export const DESCRIBE = 0xffff;
const BUFFERS = 0x80;
const PREFIX = 8;
const ENVELOPE = 24;

export function frame(kind, envelope, payload) {
  const prefix = Buffer.alloc(PREFIX);
  prefix.writeUInt32LE(envelope.length + payload.length, 0);
  prefix[4] = kind;
  prefix.writeUInt16LE(envelope.length, 6);
  return Buffer.concat([prefix, envelope, payload]);
}

export function message(kind, fields) {
  return frame(kind, Buffer.alloc(0), encode(fields));
}

export function bind(instance, args, kwargs) {
  const envelope = Buffer.alloc(4);
  envelope.writeUInt32LE(instance);
  return frame(Kind.bind, envelope, argsPayload(args, kwargs));
}

export function request(call, endpoint, instance, timeout, args, kwargs) {
  const envelope = Buffer.alloc(ENVELOPE);
  envelope.writeBigUInt64LE(BigInt(call), 0);
  envelope.writeBigUInt64LE(BigInt(Math.max(1, Math.round(timeout * 1e6))), 8);
  envelope.writeUInt32LE(instance, 16);
  envelope.writeUInt16LE(endpoint, 20);
  const payload = endpoint === DESCRIBE ? Buffer.alloc(0) : argsPayload(args, kwargs);
  return frame(Kind.request, envelope, payload);
}

export function cancel(call) {
  const envelope = Buffer.alloc(8);
  envelope.writeBigUInt64LE(BigInt(call));
  return frame(Kind.cancel, envelope, Buffer.alloc(0));
}

function argsPayload(args, kwargs) {
  const parts = [encode(args)];
  if (Object.keys(kwargs).length > 0) parts.push(encode(kwargs));
  return Buffer.concat(parts);
}

// Takes the first whole frame off the bytes; undefined while it is not all here.
export function takeFrame(bytes) {
  if (bytes.length < PREFIX) return undefined;
  const head = bytes.readUInt32LE(0);
  let end = PREFIX + head;
  if (bytes.length < end) return undefined;
  let payloadEnd = end;
  const buffers = [];
  if (bytes[5] & BUFFERS) {
    const count = bytes.readUInt16LE(end - 2);
    payloadEnd = end - 2 - 4 * count;
    for (let at = payloadEnd; at < payloadEnd + 4 * count; at += 4) {
      const length = bytes.readUInt32LE(at) & 0x7fffffff;
      buffers.push([end, length]);
      end += length;
    }
    if (bytes.length < end) return undefined;
  }
  const payloadStart = PREFIX + bytes.readUInt16LE(6);
  const taken = {
    kind: bytes[4],
    envelope: bytes.subarray(PREFIX, payloadStart),
    payload: bytes.subarray(payloadStart, payloadEnd),
    buffers: buffers.map(([start, length]) => bytes.subarray(start, start + length)),
  };
  return { taken, rest: bytes.subarray(end) };
}

export function readReply({ envelope, payload, buffers }) {
  const value = readValue(payload, buffers);
  return { call: Number(envelope.readBigUInt64LE(0)), code: envelope.readUInt16LE(8), fate: envelope[10], value };
}

// The extension types of docs/values.md that JavaScript has a use for; others arrive as msgpack's ExtData.
function readValue(payload, buffers) {
  const extensionCodec = new ExtensionCodec();
  const inner = (data) => decode(data, { extensionCodec });
  const nothing = { encode: () => null };
  extensionCodec.register({ type: 3, ...nothing, decode: (data) => Buffer.from(data) });
  extensionCodec.register({ type: 4, ...nothing, decode: inner });
  extensionCodec.register({ type: 5, ...nothing, decode: (data) => new Set(inner(data)) });
  extensionCodec.register({ type: 6, ...nothing, decode: (data) => new Set(inner(data)) });
  extensionCodec.register({ type: 19, ...nothing, decode: (data) => buffers[Buffer.from(data).readUInt32BE(0)] });
  return decode(payload, { extensionCodec });
}

const prove = (who, token, client, server) =>
  createHmac("sha256", token).update(`ironbridge ${who} proof v1\0`).update(client).update(server).digest();

export const clientProof = (token, client, server) => prove("client", token, client, server);

export function isServerProof(proof, token, client, server) {
  const expected = prove("server", token, client, server);
  return proof?.length === expected.length && timingSafeEqual(expected, proof);
}

export const readMessage = ({ payload }) => decode(payload);
