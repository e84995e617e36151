"use strict";
// Streams made as a test describes them, and told as a test compares them.

const { createHash } = require("node:crypto");
const { Readable } = require("node:stream");
const { promisify } = require("node:util");

const pause = promisify(setTimeout);

const KEPT = 65536; // bytes of a stream up to which its chunks are told, and not only their digest

// The bytes that a stream of `size` consists of: anybody can compute them.
function pattern(from, to) {
  return Buffer.from(Uint8Array.from({ length: to - from }, (_, index) => (from + index) % 251));
}

const whole = chunk => (chunk && chunk.type === "Buffer" ? Buffer.from(chunk.data) : chunk);

// `chunks` one by one, or `size` bytes in chunks of `chunk`; then the end, an error (`fails`), or nothing (`holds`).
// The error keeps a distance: one that comes together with the beginning of its stream finds nobody who listens yet.
exports.readable = ({ chunks = [], size = 0, chunk = 65536, objectMode = false, fails, holds = false }) => {
  async function* run() {
    yield* chunks.map(whole);
    for (let at = 0; at < size; at += chunk) yield pattern(at, Math.min(at + chunk, size));
    if (fails) await pause(50);
    if (fails) throw fails instanceof Error ? fails : Object.assign(new Error(fails.message), fails);
    if (holds) await new Promise(() => {});
  }
  return Readable.from(run(), { objectMode });
};

exports.isStream = value => value != null && typeof value === "object" && typeof value.pipe === "function";

// Reads all of it, or `take` chunks of it and then lets go.
exports.collect = async (stream, { take = Infinity, first = () => {} } = {}) => {
  const chunks = [];
  const digest = createHash("sha256");
  let bytes = 0;
  let error;
  try {
    for await (const chunk of stream) {
      if (!chunks.length) first(chunk);
      chunks.push(chunk);
      if (Buffer.isBuffer(chunk)) digest.update(chunk);
      bytes += Buffer.isBuffer(chunk) ? chunk.length : 0;
      if (chunks.length >= take) break;
    }
  } catch (failure) {
    error = failure;
  }
  const sizes = chunks.map(chunk => (Buffer.isBuffer(chunk) ? chunk.length : null));
  const objectMode = Boolean(stream.readableObjectMode);
  const told = { objectMode, count: chunks.length, bytes, sha256: digest.digest("hex"), error };
  return bytes > KEPT ? { ...told, sizes: [...new Set(sizes)] } : { ...told, chunks };
};
