const { LoggerProvider, BatchLogRecordProcessor } = require("@opentelemetry/sdk-logs");
const { resourceFromAttributes } = require("@opentelemetry/resources");

(async () => {
  for (const encoding of ["http", "proto"]) {
    const { OTLPLogExporter } = require("@opentelemetry/exporter-logs-otlp-" + encoding);
    const exporter = new OTLPLogExporter({
      url: process.env.URL + "/v1/logs",
      headers: { Authorization: "Bearer " + process.env.TOKEN },
    });
    const provider = new LoggerProvider({
      resource: resourceFromAttributes({ "service.name": "opentelemetry-" + encoding }),
      processors: [new BatchLogRecordProcessor(exporter)],
    });
    provider.getLogger("app").emit({
      eventName: "role.update",
      body: "role changed",
      attributes: { "user.name": "alice", "client.address": "203.0.113.7" },
    });
    await provider.shutdown();
  }
})();
