"use strict";
// What a test reads and writes: JSON, with marks (`{"$": kind, "value": …}`) for values that JSON cannot carry.

const MARKED = { undefined: () => undefined, number: Number, bigint: BigInt, date: ms => new Date(ms) };
MARKED.buffer = text => Buffer.from(text, "base64");
MARKED.map = pairs => new Map(unmark(pairs));
MARKED.set = members => new Set(unmark(members));
MARKED.regexp = ([source, flags]) => new RegExp(source, flags);

// The value in JSON's own terms.
function mark(value, within = []) {
  const kind = typeof value;
  if (value === undefined) return { $: "undefined" };
  if (kind === "bigint") return { $: "bigint", value: String(value) };
  if (kind === "function" || kind === "symbol") return { $: kind };
  if (kind === "number" && !Number.isFinite(value)) return { $: "number", value: String(value) };
  if (kind !== "object" || value === null) return value;
  if (within.includes(value)) return { $: "circular" };
  const inner = [...within, value];
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) {
    return { $: "buffer", value: Buffer.from(value).toString("base64") };
  }
  if (value instanceof Date) return { $: "date", value: value.getTime() };
  if (value instanceof RegExp) return { $: "regexp", value: [value.source, value.flags] };
  if (value instanceof Map) return { $: "map", value: mark([...value], inner) };
  if (value instanceof Set) return { $: "set", value: mark([...value], inner) };
  if (value instanceof Error) return { $: "error", value: describe(value) };
  if (Array.isArray(value)) return value.map(item => mark(item, inner));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mark(item, inner)]));
}

// The value that was marked.
function unmark(value) {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(unmark);
  if (typeof value.$ === "string" && value.$ in MARKED) return MARKED[value.$](value.value);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unmark(item)]));
}

// An error, with the names of its classes: whether it was rebuilt as one of Moleculer's is seen there.
function describe(error) {
  if (!(error instanceof Error)) return { kinds: [], thrown: mark(error) };
  const kinds = [];
  for (let kind = error.constructor; kind.name; kind = Object.getPrototypeOf(kind)) kinds.push(kind.name);
  const { name, message, stack, code, type, data, retryable, nodeID, cause, ...others } = error;
  const facts = { name: error.name, message: error.message, code, type, data, retryable, nodeID, ...others };
  const told = Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined));
  return { kinds, ...mark(told), stack: String(error.stack).split("\n")[0] };
}

// One event, one line. The space after the first colon is what its reader knows it by.
function tell(event, fields = {}) {
  const rest = JSON.stringify(mark(fields)).slice(1);
  process.stdout.write(`{"event": ${JSON.stringify(event)}${rest === "}" ? rest : `,${rest}`}\n`);
}

module.exports = { tell, mark, unmark, describe };
