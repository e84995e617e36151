"use strict";
// The loops that time calls, as `timing.py` has them, in the same figures: microseconds, calls a second.

const { performance } = require("node:perf_hooks");

const BATCH = 100; // calls between two looks at the clock, where a look costs as much as a call

const now = () => performance.now() * 1000;

function spread(samples) {
  const ordered = Float64Array.from(samples).sort();
  const at = percent => ordered[Math.min(Math.floor((ordered.length * percent) / 100), ordered.length - 1)];
  return { samples: ordered.length, p50: at(50), p90: at(90), p99: at(99) };
}

const rate = (done, microseconds) => ({ samples: done, rate: (done / microseconds) * 1e6 });

// One call after the other, each timed.
exports.sequential = async (call, seconds) => {
  const samples = [];
  const begun = now();
  let last = begun;
  while (last < begun + seconds * 1e6) {
    await call();
    const over = now();
    samples.push(over - last);
    last = over;
  }
  return { ...spread(samples), ...rate(samples.length, last - begun) };
};

// The same in batches, each timed.
exports.batched = async (call, seconds) => {
  const samples = [];
  const begun = now();
  let last = begun;
  while (last < begun + seconds * 1e6) {
    for (let index = 0; index < BATCH; index += 1) await call();
    const over = now();
    samples.push((over - last) / BATCH);
    last = over;
  }
  return { ...spread(samples), ...rate(samples.length * BATCH, last - begun) };
};

// `width` callers, each with one call under way at any time.
exports.inFlight = async (call, width, seconds) => {
  let over = false;
  let done = 0;
  const work = async () => {
    while (!over) {
      await call();
      done += 1;
    }
  };
  const begun = now();
  setTimeout(() => (over = true), seconds * 1000);
  await Promise.all(Array.from({ length: width }, work));
  return rate(done, now() - begun);
};
