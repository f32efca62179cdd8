// Segment's Public API SDK, unmodified but for the host: node public_api.mjs HOST TOKEN
//
// Reads a JSON line a call, [method, arguments], and answers with a line: {body}, or {status, body} of what was refused.
import { createInterface } from "node:readline";
import sdk from "@segment/public-api-sdk-typescript";

const api = new sdk.FunctionsApi(process.argv[2]);
api.accessToken = process.argv[3];

for await (const line of createInterface({ input: process.stdin })) {
  const [method, args] = JSON.parse(line);
  let told;
  try {
    const { body } = await api[method](...args.map((arg) => arg ?? undefined));
    told = { body };
  } catch (error) {
    told = { status: error.statusCode ?? 0, body: error.body ?? String(error) };
  }
  console.log(JSON.stringify(told));
}
