import json, logging, os
from urllib.parse import urlparse
from splunk_handler import SplunkHandler

url = urlparse(os.environ["URL"])
handler = SplunkHandler(host=url.hostname, port=url.port, token=os.environ["TOKEN"], index="main", protocol="http", record_format=True, sourcetype="splunk-handler", flush_interval=0.2, verify=False, retry_count=10, retry_backoff=0.2)
logger = logging.getLogger("app")
logger.setLevel(logging.INFO)
logger.addHandler(handler)
for number in range(int(os.environ["RECORDS"])):
    logger.info(json.dumps({"action": "role.update", "message": "role %d changed" % number}))
logging.shutdown()
