// Finds a service of this user on this machine by its lease.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { decode } from "@msgpack/msgpack";

const directories = () =>
  process.env.IRONBRIDGE_RUNTIME_DIR
    ? [process.env.IRONBRIDGE_RUNTIME_DIR]
    : [`/run/user/${process.getuid()}/ironbridge`, `/tmp/ironbridge-${process.getuid()}`];

function isPrivate(directory) {
  const found = statSync(directory, { throwIfNoEntry: false });
  return found?.isDirectory() && found.uid === process.getuid() && (found.mode & 0o777) === 0o700;
}

function readLease(directory, file) {
  try {
    const bytes = readFileSync(join(directory, file));
    if (bytes.subarray(0, 4).toString() !== "IBL1") return [];
    const lease = decode(bytes.subarray(5));
    const socket = join(directory, `${Buffer.from(lease.nonce).toString("hex").slice(0, 16)}.sock`);
    return [{ ...lease, socket, draining: bytes[4] === "D".charCodeAt(0) }];
  } catch {
    return []; // its daemon has gone while we looked
  }
}

// The leases of this name, serving ones first. Whether their daemons live, a handshake tells.
export function find(service) {
  return directories()
    .filter(isPrivate)
    .flatMap((directory) =>
      readdirSync(directory)
        .filter((file) => file.endsWith(".lease"))
        .flatMap((file) => readLease(directory, file)),
    )
    .filter((lease) => lease.service === service)
    .sort((one, other) => one.draining - other.draining);
}
