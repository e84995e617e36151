"use strict";
// What a test can have the node do. Each answers with the fields of its `done` event.

const { presets, plain } = require("./services");
const { collect, isStream, readable } = require("./streaming");

const facts = ctx => ctx && {
  id: ctx.id,
  requestID: ctx.requestID,
  level: ctx.level,
  node: ctx.nodeID,
  meta: ctx.meta,
  ...(ctx.responseHeaders ? { responseHeaders: ctx.responseHeaders } : {}),
};

exports.commands = ({ broker, protocol, tell, ...env }) => {
  const registry = broker.registry;
  const node = id => registry.nodes.get(id);
  const available = id => Boolean(node(id) && node(id).available);

  // Resolves when `seen()` is true; the broker tells of every change on its own bus, some before it is made.
  const until = (seen, what, timeout = 15000) =>
    new Promise((resolve, reject) => {
      const look = () => seen() && done(resolve);
      const timer = setTimeout(() => done(() => reject(new Error(`not within ${timeout} ms: ${what}`))), timeout);
      const pulse = setInterval(look, 10);
      function done(then) {
        clearTimeout(timer);
        clearInterval(pulse);
        then();
      }
      look();
    });

  async function call({ action, params, options = {}, stream, take, follow }) {
    let promise;
    if (!stream) promise = broker.call(action, params, options);
    else if (protocol < 5) promise = broker.call(action, readable(stream), options);
    else promise = broker.call(action, params, { ...options, stream: readable(stream) });
    const first = follow ? chunk => tell("chunk", { action, chunk }) : undefined;
    try {
      const result = await promise;
      const told = isStream(result) ? { stream: await collect(result, { take, first }) } : { result };
      return { ...told, ctx: facts(promise.ctx) };
    } catch (error) {
      tell("failing", { action, ctx: facts(promise.ctx) });
      throw error;
    }
  }

  const schemas = given =>
    given.preset ? presets[given.preset]({ broker, protocol, tell, ...env }) : [plain(tell, given)];

  return {
    call,
    mcall: async ({ calls, options }) => ({ result: await broker.mcall(calls, options) }),
    emit: async ({ name, params, options }) => ({ result: await broker.emit(name, params, options) }),
    broadcast: async ({ name, params, options }) => ({ result: await broker.broadcast(name, params, options) }),
    broadcastLocal: async ({ name, params, options }) => ({
      result: await broker.broadcastLocal(name, params, options),
    }),
    ping: async ({ node: id, timeout }) => ({ result: await broker.ping(id, timeout) }),

    create: async given => ({ result: schemas(given).map(schema => broker.createService(schema).fullName) }),
    destroy: async ({ service }) => ({ result: await broker.destroyService(broker.getLocalService(service)) }),
    publish: async ({ channel, payload, options }) => ({
      result: await broker.sendToChannel(channel, payload, options),
    }),

    waitForServices: async ({ services, timeout = 15000 }) => ({
      result: await broker.waitForServices(services, timeout, 10),
    }),
    waitForNodes: async ({ nodes, timeout }) => {
      await until(() => nodes.every(id => available(id) && node(id).services.length), `nodes ${nodes}`, timeout);
      return {};
    },
    waitForLoss: async ({ nodes, timeout }) => {
      await until(() => !nodes.some(available), `loss of ${nodes}`, timeout);
      return {};
    },
    waitForAction: async ({ action, nodes, timeout }) => {
      const there = () => (registry.actions.get(action) || { endpoints: [] }).endpoints.map(one => one.id).sort();
      await until(() => String(there()) === String([...nodes].sort()), `${action} at ${nodes}`, timeout);
      return {};
    },

    registry: async ({ only = {} }) => ({
      result: {
        nodes: registry.getNodeList({ withServices: false, ...only }),
        services: registry.getServiceList({ skipInternal: true, withActions: true, withEvents: true, ...only }),
        actions: registry.getActionList({ skipInternal: true, withEndpoints: true, ...only }),
        events: registry.getEventList({ skipInternal: true, withEndpoints: true, ...only }),
      },
    }),
    info: async ({ node: id }) => ({ result: (node(id) || {}).rawInfo }),
    pending: async () => ({
      result: {
        requests: broker.transit.pendingRequests.size,
        sending: broker.transit.pendingReqStreams.size,
        receiving: broker.transit.pendingResStreams.size,
      },
    }),
    metrics: async ({ only = {} }) => ({ result: broker.metrics.list(only) }),
    cache: async ({ method, args = [] }) => ({ result: await broker.cacher[method](...args) }),

    stop: async () => void (await broker.stop()) || {},
    start: async () => void (await broker.start()) || {},
    crash: async () => process.exit(9),
  };
};
