"use strict";
// Whoever hears events: in the default group, in groups of their own, by patterns.

// A handler that tells what it got.
const hears = (tell, handler, service, group = service) => ctx =>
  tell("heard", {
    name: ctx.eventName,
    handler,
    service,
    group,
    type: ctx.eventType,
    groups: ctx.eventGroups,
    params: ctx.params,
    meta: ctx.meta,
    ...(ctx.headers ? { headers: ctx.headers } : {}),
    id: ctx.id,
    requestID: ctx.requestID,
    parentID: ctx.parentID,
    level: ctx.level,
    caller: ctx.caller,
    sender: ctx.nodeID,
  });

const service = (tell, name, events, version) => ({
  name,
  version,
  events: Object.fromEntries(
    events.map(([pattern, group, rest]) => [
      pattern,
      { ...rest, ...(group ? { group } : {}), handler: hears(tell, pattern, name, group) },
    ])
  ),
});

exports.events = ({ tell }) => [
  service(tell, "mail", [["user.created"], ["user.*"], ["order.?"]]),
  service(tell, "stock", [["user.created"], ["order.**", "billing"]]),
  service(tell, "audit", [["user.created", "billing"], ["audit.**"]], 2),
  service(tell, "ruled", [["ruled.event", undefined, { params: { id: "number" } }]]),
  {
    name: "failing",
    events: {
      "failing.event": () => {
        throw new Error("handlers may fail");
      },
    },
  },
];

// Also the events that Moleculer itself sends to every node.
exports.everything = ({ tell }) => [service(tell, "everything", [["**"]])];

Object.defineProperty(exports, "hears", { value: hears });
