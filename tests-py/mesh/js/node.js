"use strict";
// A Moleculer node as a program: `node.js FOLDER SETTINGS`, FOLDER having the npm packages, SETTINGS in JSON.
// Standard input has a command a line (`commands.js`, `oracles.js`), standard output an event a line (`told.js`).
// The node stops with its standard input.

const { createRequire } = require("node:module");
const path = require("node:path");
const readline = require("node:readline");
const { promisify } = require("node:util");
const { commands } = require("./commands");
const { oracles } = require("./oracles");
const { presets } = require("./services");
const { tell, describe, mark, unmark } = require("./told");
const { watch, TellingLogger } = require("./watching");

const folder = path.resolve(process.argv[2]);
const settings = unmark(JSON.parse(process.argv[3] || "{}"));
const peer = createRequire(path.join(folder, "package.json"));
const moleculer = peer("moleculer");
const protocol = Number(moleculer.PROTOCOL_VERSION || moleculer.ServiceBroker.PROTOCOL_VERSION);

function middleware({ name, args = [] }) {
  if (name === "Channels") return peer("@moleculer/channels").Middleware(...args);
  const { Transmit, Debugging } = moleculer.Middlewares;
  return { ...Transmit, ...Debugging }[name](...args);
}

const env = { moleculer, protocol, tell, settings };
const broker = new moleculer.ServiceBroker({
  ...settings.options,
  logger: new (TellingLogger(moleculer.Loggers.Base))({ level: settings.level || "warn" }),
  middlewares: (settings.middlewares || []).map(middleware),
});
env.broker = broker;
watch(env);
for (const name of settings.services || []) {
  for (const schema of presets[name](env)) broker.createService(schema);
}

const able = { ...commands(env), ...oracles(env) };

async function answer({ number, do: name, with: given = {} }) {
  try {
    tell("done", { number, ...(await able[name](unmark(given))) });
  } catch (error) {
    tell("done", { number, error: describe(error) });
  }
}

async function main() {
  await broker.start();
  tell("ready", { node: broker.nodeID, instance: broker.instanceID, version: broker.MOLECULER_VERSION, protocol });
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", line => answer(JSON.parse(line)));
  await new Promise(closed => lines.once("close", closed));
  await broker.stop();
  await promisify(process.stdout.write.bind(process.stdout))("");
  process.exit(0);
}

main().catch(error => {
  tell("failed", { error: describe(error) });
  process.exit(1);
});
