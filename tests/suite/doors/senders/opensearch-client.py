import os
from opensearchpy import OpenSearch, helpers

client = OpenSearch(os.environ["URL"], http_auth=("x", os.environ["TOKEN"]))
document = {"@timestamp": "2026-01-02T03:04:05Z", "event": {"action": "role.update", "category": "opensearch-py"}, "user": {"name": "alice"}, "source": {"ip": "203.0.113.7"}, "message": "role changed"}
assert helpers.bulk(client, [{"_index": "audit", "_id": "os-1", "_source": document}])[0] == 1
