"use strict";
// What a broker says of itself: its log, and the events of its own process.

const { format } = require("node:util");
const { describe, tell } = require("./told");

// A logger whose lines are events.
exports.TellingLogger = Base =>
  class extends Base {
    getLogHandler({ mod }) {
      const levels = Base.LEVELS.slice(0, Base.LEVELS.indexOf(this.getLogLevel(mod)) + 1);
      return (level, words) => levels.includes(level) && tell("log", { level, module: mod, text: format(...words) });
    }
  };

const summary = node => ({
  id: node.id,
  available: node.available,
  seq: node.seq,
  instance: node.instanceID,
  client: node.client,
  services: (node.services || []).map(service => service.fullName || service.name).filter(name => name !== "$node"),
});

// Every event on the broker's own bus, `$node.connected` and its like, is told as `local`.
exports.watch = ({ broker }) => {
  broker.localBus.onAny((name, payload) => {
    const { node, error, err = error, ...rest } = Object(payload);
    const fields = { ...(node ? { node: summary(node) } : {}), ...(err ? { error: describe(err) } : {}) };
    tell("local", { name, ...fields, payload: rest });
  });
};
