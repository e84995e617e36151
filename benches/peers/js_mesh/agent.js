"use strict";
// Moleculer.js as a contender: `agent.js FOLDER server|client ADDRESS`, FOLDER having the npm packages, ADDRESS being
// Redis's or NATS's. It speaks as `agent.py` does: a server says `ready` and ends with its standard input; a client
// answers each command (`{"measure": …, "seconds": …}`) with a line of figures, or of its error.

const { createRequire } = require("node:module");
const path = require("node:path");
const readline = require("node:readline");
const measures = require("./measures");

const [folder, part, address] = process.argv.slice(2);
const { ServiceBroker } = createRequire(path.resolve(folder, "package.json"))("moleculer");

const get = ctx => `Olá, ${ctx.params.word}`;
const WORD = { word: "mundo! 0123456789" };

function node() {
  const { PROTOCOL_VERSION: protocol } = ServiceBroker;
  const broker = new ServiceBroker({
    nodeID: part,
    namespace: `js-${protocol}`, // nodes of other contenders are at the same server
    transporter: address,
    logger: false,
  });
  broker.createService({ name: part === "server" ? "greeter" : "here", actions: { get } });
  return broker;
}

async function serve(broker) {
  await broker.start();
  console.log("ready");
  process.stdin.resume().once("end", () => process.exit(0));
}

async function answer(broker) {
  await broker.start();
  await broker.waitForServices("greeter", 20_000, 20);
  const far = () => broker.call("greeter.get", WORD);
  const near = () => broker.call("here.get", WORD);
  const able = {
    get: seconds => measures.sequential(far, seconds),
    inflight: seconds => measures.inFlight(far, 100, seconds),
    local: seconds => measures.batched(near, seconds),
  };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { measure, seconds } = JSON.parse(line);
    try {
      if (!(measure in able)) throw new Error(`no measure '${measure}'`);
      await able[measure](seconds / 5);
      console.log(JSON.stringify({ figures: await able[measure](seconds) }));
    } catch (error) {
      console.log(JSON.stringify({ error: `${error.name}: ${error.message}` }));
    }
  }
  process.exit(0);
}

(part === "server" ? serve : answer)(node()).catch(error => {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1);
});
