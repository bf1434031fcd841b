const { Client } = require("@opensearch-project/opensearch");

(async () => {
  const client = new Client({ node: process.env.URL, auth: { username: "x", password: process.env.TOKEN } });
  const document = { "@timestamp": "2026-01-02T03:04:05Z", event: { action: "role.update", category: "opensearch-js" }, user: { name: "alice" }, source: { ip: "203.0.113.7" } };
  const result = await client.helpers.bulk({ datasource: [document], onDocument: () => ({ create: { _index: "audit", _id: "osjs-1" } }) });
  if (result.successful !== 1) throw new Error(JSON.stringify(result));
})();
