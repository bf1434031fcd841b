import os
from elasticsearch import Elasticsearch, helpers

client = Elasticsearch(os.environ["URL"], basic_auth=("x", os.environ["TOKEN"]))
document = {"@timestamp": "2026-01-02T03:04:05Z", "event": {"action": "role.update", "category": "elasticsearch-py"}, "user": {"name": "alice"}, "source": {"ip": "203.0.113.7"}, "message": "role changed"}
action = {"_op_type": "create", "_index": "audit", "_id": "py-1", "_source": document}
assert helpers.bulk(client, [action]) == (1, [])
stored, errors = helpers.bulk(client, [action], raise_on_error=False)
assert stored == 0 and errors[0]["create"]["status"] == 409, (stored, errors)
assert client.info()["tagline"]
