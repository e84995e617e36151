"use strict";
// The services that nodes can be given, by name: each makes a list of schemas.

exports.presets = {
  ...require("./math"),
  ...require("./values"),
  ...require("./errors"),
  ...require("./chain"),
  ...require("./streams"),
  ...require("./events"),
  ...require("./guarded"),
  ...require("./lasting"),
};

const { hears } = require("./events");

// A schema in JSON: an action gives back what its `returns` says, or its parameters; an event is told.
exports.plain = (tell, { actions = {}, events = {}, ...schema }) => ({
  ...schema,
  actions: Object.fromEntries(
    Object.entries(actions).map(([name, { returns, ...rest }]) => [
      name,
      { ...rest, handler: ctx => (returns === undefined ? ctx.params : returns) },
    ])
  ),
  events: Object.fromEntries(
    Object.entries(events).map(([pattern, rest]) => [
      pattern,
      { ...rest, handler: hears(tell, pattern, schema.name, rest.group) },
    ])
  ),
});
