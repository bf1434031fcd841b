const { Client } = require("@elastic/elasticsearch");

(async () => {
  const client = new Client({ node: process.env.URL, auth: { username: "x", password: process.env.TOKEN }, maxRetries: 10 });
  const documents = Array.from({ length: Number(process.env.RECORDS) }, (_, number) => ({
    "@timestamp": "2026-01-02T03:04:05Z",
    event: { action: "role.update", category: "elasticsearch-js", id: "js-" + number },
    message: "role " + number + " changed",
  }));
  const result = await client.helpers.bulk({
    datasource: documents,
    concurrency: 1,
    flushBytes: 500,
    onDocument: (document) => ({ create: { _index: "audit", _id: document.event.id } }),
    onDrop: ({ status }) => { if (status !== 409) throw new Error("dropped with " + status); },
  });
  if (result.aborted) throw new Error("aborted");
})();
