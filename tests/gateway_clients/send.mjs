// One Node library sends what the plan on standard input says, and reports what it believes of each event.
//   node send.mjs LIBRARY < plan.json       plan and report as `clients.py` describes them

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(import.meta.url);

const libraries = {
  "@segment/analytics-node": (plan) => {
    const { Analytics } = require("@segment/analytics-node");
    const analytics = new Analytics({
      writeKey: plan.key,
      host: plan.host,
      flushAt: plan.batch,
      flushInterval: plan.interval_ms,
      maxRetries: 20,
    });
    analytics.on("error", () => {}); // each event's callback tells it, too
    return { analytics, end: () => analytics.closeAndFlush() };
  },
  "@rudderstack/rudder-sdk-node": (plan) => {
    const Analytics = require("@rudderstack/rudder-sdk-node");
    const analytics = new Analytics(plan.key, {
      dataPlaneUrl: plan.host,
      flushAt: plan.batch,
      flushInterval: plan.interval_ms,
      gzip: plan.gzip,
      logLevel: "silent",
      errorHandler: () => {}, // without one a refused batch ends the process
      retryCount: 20,
      axiosRetryConfig: { retryDelay: (count) => Math.min(2000, 100 * 2 ** count) },
    });
    const flushed = async () => {
      while (analytics.queue.length) await analytics.flush();
    };
    return { analytics, end: flushed };
  },
};

const plan = JSON.parse(await text(process.stdin));
const { analytics, end } = libraries[process.argv[2]](plan);
const report = { sent: [], failed: [] };
const told = [];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

for (const [number, { kind, id, pad }] of plan.events.entries()) {
  const message = { userId: `user ${number}`, messageId: id, timestamp: new Date() };
  if (kind === "identify") message.traits = { n: number, pad };
  else if (kind === "group") Object.assign(message, { groupId: "g", traits: { n: number, pad } });
  else if (kind === "alias") message.previousId = `before ${number}`;
  else message.properties = { n: number, pad };
  if (kind === "track") message.event = "Seen";
  if (kind === "page" || kind === "screen") message.name = "Home";
  told.push(
    new Promise((resolve) => {
      analytics[kind](message, (error) => {
        report[error ? "failed" : "sent"].push(id);
        resolve();
      });
    }),
  );
  if (plan.pause_ms) await pause(plan.pause_ms);
}
await end();
await Promise.all(told);
process.stdout.write(JSON.stringify(report), () => process.exit(0));
