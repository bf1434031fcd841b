import logging, os
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

provider = LoggerProvider(resource=Resource.create({"service.name": os.environ["SERVICE"]}))
exporter = OTLPLogExporter(endpoint=os.environ["URL"] + "/v1/logs", headers={"Authorization": "Bearer " + os.environ["TOKEN"]}, timeout=30)
provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_export_batch_size=10))
logger = logging.getLogger("app")
logger.addHandler(LoggingHandler(level=logging.INFO, logger_provider=provider))
logger.setLevel(logging.INFO)
for number in range(int(os.environ["RECORDS"])):
    logger.info("role %d changed", number, extra={"log.record.uid": "%s-%d" % (os.environ["SERVICE"], number)})
provider.shutdown()
