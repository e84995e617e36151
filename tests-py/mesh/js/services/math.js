"use strict";
// Plain calls: parameters with rules, versions, settings, who answers.

const add = ctx => Number(ctx.params.a) + Number(ctx.params.b);

exports.math = () => [
  {
    name: "math",
    actions: {
      add,
      sub: { params: { a: "number", b: "number" }, handler: ctx => ctx.params.a - ctx.params.b },
      div: {
        rest: "GET /div",
        params: { a: { type: "number", convert: true }, b: { type: "number", convert: true, notEqual: 0 } },
        handler: ctx => ctx.params.a / ctx.params.b,
      },
      // Answers with its parameters as the rules left them.
      ruled: {
        params: {
          $$strict: "remove",
          id: "number|positive|convert",
          name: { type: "string", min: 2, trim: true },
          mail: { type: "email", optional: true },
          role: { type: "enum", values: ["user", "admin"], default: "user" },
          tags: { type: "array", items: "string", optional: true },
          at: { type: "object", optional: true, props: { x: "number", y: "number" } },
        },
        handler: ctx => ctx.params,
      },
    },
  },
];

exports.versions = ({ broker }) => [
  {
    name: "math",
    version: 2,
    settings: { prec: 2, nested: { secret: "s", open: "o" }, token: "t", $secureSettings: ["token", "nested.secret"] },
    metadata: { scalable: true, priority: 5 },
    actions: {
      add: {
        cache: { keys: ["a", "b"], ttl: 30 },
        visibility: "published",
        rest: "GET /add",
        timeout: 5000,
        retryPolicy: { enabled: true, retries: 2 },
        params: { a: "number", b: { type: "number", convert: true } },
        handler: add,
      },
    },
  },
  { name: "math", version: "staging", actions: { add: ctx => `staging ${add(ctx)}` } },
  {
    name: "bare",
    version: 3,
    settings: { $noVersionPrefix: true },
    actions: { who: () => broker.nodeID },
  },
];

exports.who = ({ broker }) => [
  {
    name: "who",
    actions: { am: () => broker.nodeID, instance: () => broker.instanceID, slow: async () => broker.nodeID },
  },
];
