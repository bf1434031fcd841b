import json, logging, os
from urllib.parse import urlparse
from splunk_handler import SplunkHandler

url = urlparse(os.environ["URL"])
handler = SplunkHandler(host=url.hostname, port=url.port, token=os.environ["TOKEN"], index="main", protocol="http", record_format=True, sourcetype="splunk-handler", flush_interval=0.5, verify=False)
logger = logging.getLogger("app")
logger.setLevel(logging.INFO)
logger.addHandler(handler)
logger.info(json.dumps({"action": "role.update", "user": "alice", "ip": "203.0.113.7"}))
logging.shutdown()
