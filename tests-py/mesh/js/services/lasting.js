"use strict";
// What outlasts a call: results in a cache, messages in a channel.

exports.cached = ({ broker, tell }) => {
  let runs = 0;
  const counts = ctx => {
    runs += 1;
    tell("ran", { action: ctx.action.name, runs });
    return { runs, node: broker.nodeID };
  };
  return [
    {
      name: "cached",
      actions: {
        whole: { cache: true, handler: counts },
        keyed: { cache: { keys: ["id", "at.x", "#user"], ttl: 60 }, handler: counts },
        locked: {
          cache: { keys: ["id"], ttl: 60, lock: { enabled: true, staleTime: 0 } },
          handler: async ctx => {
            const result = counts(ctx);
            await new Promise(resolve => setTimeout(resolve, ctx.params.ms || 0));
            return result;
          },
        },
        clean: ctx => broker.cacher.clean(ctx.params.pattern),
      },
    },
  ];
};

// For nodes with the middleware `Channels`. What fails too often is heard again from the queue of the dead.
exports.channels = ({ broker, tell }) => [
  {
    name: "channels",
    channels: {
      "order.paid": {
        context: true,
        handler: ({ params, meta, requestID, parentID, level, caller }) =>
          tell("taken", { channel: "order.paid", params, meta, requestID, parentID, level, caller }),
      },
      "order.failing": {
        group: "failing",
        maxRetries: 2,
        redis: { minIdleTime: 50, claimInterval: 50 },
        deadLettering: { enabled: true, queueName: "DEAD" },
        handler: params => {
          tell("taken", { channel: "order.failing", params });
          throw new Error("cannot take it");
        },
      },
      DEAD: params => tell("dead", { params }),
    },
    actions: {
      pay: ctx => broker.sendToChannel("order.paid", ctx.params, { ctx }),
    },
  },
];
