"use strict";
// Errors of every kind that Moleculer has, and of kinds that it does not.

exports.errors = ({ moleculer, broker }) => {
  const E = moleculer.Errors;

  class OwnError extends E.MoleculerClientError {
    constructor(message, data) {
      super(message, 418, "TEAPOT", data);
      this.extra = "not sent";
    }
  }

  const data = { field: "a", list: [1, { b: null }] };
  const where = { action: "errors.raise", nodeID: broker.nodeID };
  const kinds = {
    MoleculerError: () => new E.MoleculerError("It broke", 501, "BROKE", data),
    bare: () => new E.MoleculerError("It broke"),
    MoleculerRetryableError: () => new E.MoleculerRetryableError("Try again", 503, "AGAIN", data),
    MoleculerServerError: () => new E.MoleculerServerError("Server is ill", 502, "ILL", data),
    MoleculerClientError: () => new E.MoleculerClientError("Bad thing", 422, "BAD_THING", data),
    ServiceNotFoundError: () => new E.ServiceNotFoundError({ action: "no.such", nodeID: "far" }),
    ServiceNotAvailableError: () => new E.ServiceNotAvailableError({ action: "no.more", nodeID: "far" }),
    ValidationError: () => new E.ValidationError("Wrong", "WRONG", [{ type: "required", field: "a" }]),
    RequestTimeoutError: () => new E.RequestTimeoutError(where),
    RequestSkippedError: () => new E.RequestSkippedError(where),
    RequestRejectedError: () => new E.RequestRejectedError(where),
    QueueIsFullError: () => new E.QueueIsFullError({ ...where, size: 100, limit: 100 }),
    MaxCallLevelError: () => new E.MaxCallLevelError({ nodeID: broker.nodeID, level: 10 }),
    BrokerDisconnectedError: () => new E.BrokerDisconnectedError(),
    ServiceSchemaError: () => new E.ServiceSchemaError("No name", { a: 1 }),
    BrokerOptionsError: () => new E.BrokerOptionsError("Bad option", { a: 1 }),
    GracefulStopTimeoutError: () => new E.GracefulStopTimeoutError({ service: { name: "s", version: 1 } }),
    ProtocolVersionMismatchError: () => 
      new E.ProtocolVersionMismatchError({ nodeID: "far", actual: "4", received: "5" }),
    InvalidPacketDataError: () => new E.InvalidPacketDataError({ a: 1 }),
    OwnError: () => new OwnError("I am a teapot", data),
    TypeError: () => new TypeError("x is not a function"),
    Error: () => new Error("plain"),
    coded: () => Object.assign(new Error("coded"), { code: "ENOENT", type: "T", data: 7, retryable: true, other: 1 }),
    string: () => "just text",
    object: () => ({ message: "just an object", code: 499 }),
    undefined: () => undefined,
  };

  return [
    {
      name: "errors",
      actions: {
        raise: ctx => {
          Object.assign(ctx.meta, ctx.params.meta);
          throw kinds[ctx.params.kind]();
        },
        kinds: () => Object.keys(kinds),
      },
    },
  ];
};
