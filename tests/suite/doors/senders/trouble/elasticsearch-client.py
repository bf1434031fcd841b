import os
from elasticsearch import Elasticsearch, helpers

client = Elasticsearch(os.environ["URL"], basic_auth=("x", os.environ["TOKEN"]), max_retries=10, retry_on_timeout=True, retry_on_status=(429, 502, 503, 504))
actions = [
    {"_op_type": "create", "_index": "audit", "_id": "py-%d" % number, "_source": {"event": {"action": "role.update", "category": "elasticsearch-py"}, "message": "role %d changed" % number}}
    for number in range(int(os.environ["RECORDS"]))
]
stored, errors = helpers.bulk(client, actions, chunk_size=5, raise_on_error=False)
assert all(error["create"]["status"] == 409 for error in errors), errors
assert stored + len(errors) == len(actions), (stored, errors)
