import logging, os
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

provider = LoggerProvider(resource=Resource.create({"service.name": "opentelemetry-python"}))
exporter = OTLPLogExporter(
    endpoint=os.environ["URL"] + "/v1/logs", headers={"Authorization": "Bearer " + os.environ["TOKEN"]}
)
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
logger = logging.getLogger("app")
logger.addHandler(LoggingHandler(level=logging.INFO, logger_provider=provider))
logger.setLevel(logging.INFO)
logger.info("role changed", extra={"event.name": "role.update", "user.name": "alice", "client.address": "203.0.113.7"})
provider.shutdown()
