// A node in JavaScript, as the nodes in Python meet it.
import { ServiceBroker } from "moleculer";

const broker = new ServiceBroker({
  nodeID: process.env["NODE_ID"] || "js-node",
  transporter: process.env["REDIS_URL"] || "redis://localhost:6379",
});

// Define a service
broker.createService({
  name: "math",
  actions: {
    add(ctx) {
      return {
        result: Number(ctx.params.a) + Number(ctx.params.b),
      };
    },
    async random(ctx) {
      const afterMs = ctx.params["afterMs"] || 1000;
      const receiptId = Math.round(Math.random() * Date.now());
      setTimeout(async () => {
        await broker.emit("ev_random_number", {
          receiptId,
          value: Math.random(),
        });
      }, afterMs);
      return {
        receiptId: receiptId,
        _note: "ev_random_number will broadcast later with receiptId",
      };
    },
  },
});

await broker.start();
