// Calls the service in service.py: `node main.js [tcp://127.0.0.1:7411/inventory] [token]`.
import { connect } from "./client.js";

const [target = "inventory", token] = process.argv.slice(2);
const client = await connect(target, { token, args: ["Rome"] });

console.log("endpoints:", [...client.endpoints.keys()].sort().join(", "));
console.log("add:", await client.call("add", ["bolt", 3], { unit: "box" }));
console.log("add:", await client.call("add", ["bolt"], { count: 2, unit: "box" }));
console.log("stock:", await client.call("stock"));
console.log("together:", (await Promise.all([1, 2, 3].map((n) => client.call("slowly", [n])))).join(", "));
console.log("picture:", (await client.call("picture", [100_000])).length, "bytes");
try {
  await client.call("take", ["nut"]);
} catch (error) {
  console.log("error:", `${error.name}: ${error.message} (${error.fate})`);
}
client.close();
