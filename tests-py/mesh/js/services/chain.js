"use strict";
// Calls within calls, and what a context carries from one to the next.

const context = ctx => ({
  id: ctx.id,
  requestID: ctx.requestID,
  parentID: ctx.parentID,
  level: ctx.level,
  caller: ctx.caller,
  sender: ctx.nodeID,
  timeout: ctx.options.timeout,
  tracing: ctx.tracing,
  meta: { ...ctx.meta },
  ...(ctx.headers ? { headers: ctx.headers } : {}),
});

exports.chain = ({ protocol }) => [
  {
    name: "chain",
    actions: {
      context,
      // Calls the first of `path`, an action or `{ action, ...options }`, with the rest; tells the contexts of all.
      relay: async ctx => {
        const [next, ...path] = ctx.params.path || [];
        const mine = context(ctx);
        if (!next) return [mine];
        const { action, ...options } = typeof next === "string" ? { action: next } : next;
        return [mine].concat(await ctx.call(action, { path }, options));
      },
      // Sets meta, and answers with what it had.
      sets: ctx => {
        const had = { ...ctx.meta };
        Object.assign(ctx.meta, ctx.params);
        return had;
      },
      // Calls `action`, then tells what its own meta has become.
      after: async ctx => {
        const { action, params, options } = ctx.params;
        let result, error;
        try {
          result = await ctx.call(action, params, options);
        } catch (failure) {
          error = { name: failure.name, message: failure.message, nodeID: failure.nodeID };
        }
        return { result, error, meta: { ...ctx.meta } };
      },
      many: ctx => ctx.mcall(ctx.params.calls, ctx.params.options),
      emits: async ctx => {
        const { name, params, options, how = "emit" } = ctx.params;
        await ctx[how](name, params, options);
        return context(ctx);
      },
      ...(protocol < 5
        ? {}
        : {
            headers: ctx => {
              ctx.responseHeaders = { ...ctx.params };
              return ctx.headers;
            },
          }),
    },
  },
];

exports.slow = ({ broker, tell }) => [
  {
    name: "slow",
    actions: {
      // Waits, and says when it began and ended.
      wait: async ctx => {
        tell("began", { action: "slow.wait", params: ctx.params });
        await new Promise(resolve => setTimeout(resolve, ctx.params.ms));
        tell("ended", { action: "slow.wait", params: ctx.params });
        return broker.nodeID;
      },
      hang: ctx => {
        tell("began", { action: "slow.hang", params: ctx.params });
        return new Promise(() => {});
      },
      patient: {
        timeout: 200,
        handler: ctx => new Promise(resolve => setTimeout(resolve, ctx.params.ms)),
      },
    },
  },
];
