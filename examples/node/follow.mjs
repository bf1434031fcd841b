// Prints the stored events, one per line, in order of arrival, from the beginning and then as they arrive. After a
// restart it continues after the last printed page. Usage: follow.mjs CURSOR_FILE [FILTER], with a filter such as
// `status=FAILURE`.
import { existsSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const [file, ...filter] = process.argv.slice(2);
const query = ["sort=received&order=asc&limit=1000", ...filter].join("&");
const url = (process.env.AUDITBOX_URL ?? "http://127.0.0.1:8686") + "/v1/audit-log?" + query;
const headers = { Authorization: `Bearer ${process.env.AUDITBOX_TOKEN}` }; // the API token of a credential with the scope read
let cursor = existsSync(file) ? readFileSync(file, "utf8").trim() : "";

for (;;) {
  let answer, text;
  try {
    answer = await fetch(url + (cursor && `&cursor=${cursor}`), { headers, signal: AbortSignal.timeout(60_000) });
    text = await answer.text();
  } catch (error) {
    console.error(`no answer (${error.cause?.code ?? error.message}), trying again`);
    await sleep(2000);
    continue;
  }
  if (answer.status === 422) {
    console.error(`refused: ${text}\nIf it is the cursor: the log was restored from a backup. Delete ${file} to begin again.`);
    process.exit(1);
  } else if (answer.status === 429 || answer.status >= 500) {
    console.error(`status ${answer.status}, trying again`);
    await sleep(1000 * Math.max(2, Number(answer.headers.get("Retry-After"))));
    continue;
  } else if (!answer.ok) {
    console.error(`refused with status ${answer.status}: ${text}`);
    process.exit(1);
  }
  const page = JSON.parse(text);
  for (const event of page.audits) writeSync(1, JSON.stringify(event) + "\n");
  if (page.damaged) console.error(`events that are damaged in the log: ${JSON.stringify(page.damaged)}`);
  cursor = page.next;
  writeFileSync(file + ".new", cursor); // saved only now: no page is printed twice or skipped
  renameSync(file + ".new", file);
  if (page.audits.length === 0) await sleep(2000);
}
