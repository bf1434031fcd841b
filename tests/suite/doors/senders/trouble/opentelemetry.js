const { LoggerProvider, BatchLogRecordProcessor } = require("@opentelemetry/sdk-logs");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { OTLPLogExporter } = require("@opentelemetry/exporter-logs-otlp-proto");

(async () => {
  const exporter = new OTLPLogExporter({
    url: process.env.URL + "/v1/logs",
    headers: { Authorization: "Bearer " + process.env.TOKEN },
    timeoutMillis: 30000,
  });
  const provider = new LoggerProvider({
    resource: resourceFromAttributes({ "service.name": "opentelemetry-js" }),
    processors: [new BatchLogRecordProcessor(exporter, { maxExportBatchSize: 10, exportTimeoutMillis: 30000 })],
  });
  for (let number = 0; number < Number(process.env.RECORDS); number++) {
    provider.getLogger("app").emit({ eventName: "role.update", body: "role " + number + " changed", attributes: { "log.record.uid": "js-" + number } });
  }
  await provider.shutdown();
})();
