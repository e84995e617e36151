"use strict";
// Streams down, up, and both ways.

const { PassThrough, Transform } = require("node:stream");
const { collect, readable } = require("../streaming");

exports.streams = ({ tell, protocol }) => {
  const source = ctx => (protocol < 5 ? ctx.params : ctx.stream);
  const given = ctx => (protocol < 5 ? { ...ctx.meta } : { ...ctx.params });

  return [
    {
      name: "streams",
      actions: {
        // What `streaming.readable` makes of the parameters.
        down: ctx => readable(ctx.params),
        // Told in full at the end of it.
        up: async ctx => {
          tell("streaming", { action: "streams.up", given: given(ctx) });
          const got = await collect(source(ctx), { first: chunk => tell("chunk", { action: "streams.up", chunk }) });
          tell("streamed", { action: "streams.up", ...got });
          const { name, message } = got.error || {};
          return { ...got, given: given(ctx), error: got.error && { name, message } };
        },
        echo: ctx => {
          const stream = source(ctx);
          const back = new PassThrough({ objectMode: stream.readableObjectMode });
          stream.on("error", error => back.destroy(error));
          return stream.pipe(back);
        },
        upper: ctx =>
          source(ctx).pipe(
            new Transform({ transform: (chunk, _encoding, done) => done(null, chunk.toString().toUpperCase()) })
          ),
      },
    },
  ];
};
