"use strict";
// What Moleculer makes of something, without a call: whoever has the same rules compares.

exports.oracles = ({ broker, moleculer, protocol }) => ({
  // The key under which a result is kept.
  cacheKey: async ({ action, params, meta = {}, headers, keys, options = {} }) => {
    const Memory = moleculer.Cachers.Memory;
    const cacher = new Memory(options);
    const result =
      protocol < 5
        ? cacher.getCacheKey(action, params, meta, keys)
        : cacher.getCacheKey({ name: action }, { keys }, { params, meta, headers });
    return { result };
  },

  // Whether the parameters hold, and what becomes of them.
  validate: async ({ rules, params, options = {} }) => {
    const validator = new moleculer.Validators.Fastest(options);
    validator.init(broker);
    const verdict = await validator.compile(rules)(params, { meta: {} });
    return { result: verdict === true, params, errors: verdict === true ? [] : verdict };
  },

  // A service's schema with that of its mixins, as far as JSON can say it.
  merge: async ({ schema }) => {
    const merged = new moleculer.Service(broker).applyMixins(schema);
    return { result: JSON.parse(JSON.stringify(merged)) };
  },

  // The node that each key leads to.
  shard: async ({ nodes, keys, options = {} }) => {
    const strategy = new moleculer.Strategies.Shard(broker.registry, broker, options);
    strategy.rebuild(nodes.map(id => ({ id })));
    return { result: Object.fromEntries(keys.map(key => [key, strategy.getNodeIDByKey(key)])) };
  },

  // Of metrics, those that a reporter tells of.
  matchMetrics: async ({ names, options }) => {
    const reporter = new moleculer.MetricReporters.Base(options);
    return { result: names.filter(name => reporter.matchMetricName(name)) };
  },

  // How a histogram tells of values.
  histogram: async ({ values }) => {
    broker.metrics.register({ name: "spread", type: "histogram", buckets: true, quantiles: true });
    for (const value of values) broker.metrics.observe("spread", value);
    return { result: broker.metrics.list({ includes: "spread" })[0].values[0] };
  },

  // Whether names of events match a pattern.
  match: async ({ pattern, names }) => ({
    result: Object.fromEntries(names.map(name => [name, moleculer.Utils.match(name, pattern)])),
  }),
});
