"use strict";
// Visibility, hooks and mixins, and what limits calls: retries, circuit breakers, bulkheads, fallbacks.

const tag = word => ctx => {
  ctx.params.seen = [...(ctx.params.seen || []), word];
};
const tagged = word => (_ctx, result) => [...result, word];
const added = word => (_ctx, error) => {
  throw Object.assign(error, { message: `${error.message}, ${word}` });
};

exports.visibility = () => [
  {
    name: "guarded",
    actions: {
      published: { visibility: "published", handler: () => "published" },
      public: { visibility: "public", handler: () => "public" },
      protected: { visibility: "protected", handler: () => "protected" },
      private: { visibility: "private", handler: () => "private" },
      inside: ctx => Promise.all([ctx.call("guarded.protected"), ctx.service.actions.private()]),
    },
  },
];

// The order in which hooks run, those of a mixin among them.
exports.hooked = () => [
  {
    name: "hooked",
    mixins: [
      {
        hooks: {
          before: { "*": tag("mixin *"), order: tag("mixin order"), "or*|x": tag("mixin or*|x") },
          after: { "*": tagged("mixin *"), order: tagged("mixin order") },
          error: { "*": added("mixin *") },
        },
      },
    ],
    hooks: {
      before: { "*": [tag("* one"), tag("* two")], order: tag("order") },
      after: { "*": tagged("*"), order: [tagged("order one"), tagged("order two")] },
      error: {
        "*": added("*"),
        fails: added("fails"),
      },
    },
    actions: {
      order: {
        hooks: { before: tag("action"), after: tagged("action") },
        handler: ctx => [...ctx.params.seen, "handler"],
      },
      fails: {
        hooks: { error: added("action") },
        handler: () => {
          throw new Error("failed");
        },
      },
    },
  },
];

exports.limited = ({ moleculer, broker, tell }) => {
  const failures = new Map();
  return [
    {
      name: "limited",
      actions: {
        // Fails as often as it is asked to, then answers with the number of attempts.
        retried: {
          retryPolicy: { enabled: true, retries: 3, delay: 20, maxDelay: 50 },
          handler: ctx => {
            const { key, times } = ctx.params;
            failures.set(key, (failures.get(key) || 0) + 1);
            tell("attempt", { key, number: failures.get(key) });
            const early = failures.get(key) <= times;
            if (early) throw new moleculer.Errors.MoleculerRetryableError("Not yet", 503, "NOT_YET");
            return failures.get(key);
          },
        },
        broken: {
          circuitBreaker: { enabled: true, threshold: 0.5, minRequestCount: 4, windowTime: 60, halfOpenTime: 300 },
          handler: ctx => {
            if (ctx.params.fails) throw new moleculer.Errors.MoleculerError("Broken", 500, "BROKEN");
            return broker.nodeID;
          },
        },
        narrow: {
          bulkhead: { enabled: true, concurrency: 1, maxQueueSize: 1 },
          handler: ctx => {
            tell("began", { action: "limited.narrow", params: ctx.params });
            return new Promise(resolve => setTimeout(() => resolve(broker.nodeID), ctx.params.ms));
          },
        },
        fallen: {
          fallback: "spare",
          handler: () => {
            throw new Error("no luck");
          },
        },
      },
      methods: { spare: (ctx, error) => `instead of ${error.message}` },
    },
  ];
};
