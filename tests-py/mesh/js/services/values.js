"use strict";
// What becomes of values on their way: answers of every kind, and what a handler made of its parameters.

const { mark } = require("../told");

const kindOf = value => {
  if (value === null) return "null";
  if (Buffer.isBuffer(value)) return "buffer";
  return typeof value === "object" ? value.constructor.name.toLowerCase() : typeof value;
};

const DAY = Date.UTC(2024, 1, 29, 12, 30, 15, 250);

exports.values = () => [
  {
    name: "values",
    actions: {
      echo: ctx => ctx.params,
      // What arrived, told in marks, so that nothing gets lost on its way back.
      got: ctx => ({ kind: kindOf(ctx.params), params: JSON.stringify(mark(ctx.params)) }),
      undefined: () => undefined,
      null: () => null,
      true: () => true,
      false: () => false,
      zero: () => 0,
      float: () => 0.1,
      big: () => Number.MAX_SAFE_INTEGER,
      beyond: () => 2 ** 63,
      tiny: () => 5e-324,
      nan: () => NaN,
      infinity: () => -Infinity,
      empty: () => "",
      text: () => "Olá, mundo! 日本 🚀 \u0000 \u2028",
      list: () => [1, undefined, null, "x"],
      object: () => ({ a: 1, gone: undefined, none: null, deep: { b: [{}] } }),
      date: () => new Date(DAY),
      buffer: () => Buffer.from([0, 1, 127, 128, 255]),
      buffers: () => ({ one: Buffer.from("one"), two: [Buffer.alloc(0)] }),
      map: () => new Map([["a", 1]]),
      set: () => new Set([1, 2]),
      regexp: () => /a+/gi,
      size: { params: { bytes: "number" }, handler: ctx => "x".repeat(ctx.params.bytes) },
    },
  },
];

// Values that JSON cannot write at all: the answer is an error, or something else.
exports.odd = () => [
  {
    name: "odd",
    actions: {
      bigint: () => 12345678901234567890n,
      circular: () => {
        const one = { name: "one" };
        one.self = one;
        return one;
      },
      symbol: () => Symbol("s"),
      function: () => () => 1,
    },
  },
];
