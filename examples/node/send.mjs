// Sends the events on standard input, one JSON object per line, and returns when all of them are stored.
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const url = (process.env.AUDITBOX_URL ?? "http://127.0.0.1:8686") + "/v1/audit-log";
const headers = { Authorization: `Bearer ${process.env.AUDITBOX_TOKEN}` }; // the API token of a credential with the scope ingest

async function send(event) {
  // The same identifier in each attempt, so that the server stores the event once.
  if (JSON.parse(event).identifier == null) event = event.replace("{", `{"identifier":"${randomUUID()}",`);
  for (let wait = 1; ; wait = Math.min(2 * wait, 60)) {
    let problem;
    try {
      const answer = await fetch(url, { method: "POST", headers, body: event, signal: AbortSignal.timeout(60_000) });
      const text = await answer.text();
      if (answer.ok) return;
      if (answer.status < 500 && answer.status !== 429) {
        console.error(`refused with status ${answer.status}: ${text}`);
        process.exit(1);
      }
      problem = `status ${answer.status}`;
      wait = Math.max(wait, Number(answer.headers.get("Retry-After")));
    } catch (error) {
      problem = error.cause?.code ?? error.message; // the event may be stored already: sending it again is safe
    }
    console.error(`not stored yet (${problem}), trying again in ${wait} s`);
    await sleep(wait * 1000);
  }
}

for await (const line of createInterface({ input: process.stdin })) await send(line);
