import os, requests
from cloudevents.http import CloudEvent, to_binary, to_structured

for mode, convert in [("structured", to_structured), ("binary", to_binary)]:
    event = CloudEvent({"type": "cloudevents-py.role.update", "source": "/" + mode, "subject": "billing", "authid": "alice"}, {"ip": "203.0.113.7"})
    headers, body = convert(event)
    headers["Authorization"] = "Bearer " + os.environ["TOKEN"]
    requests.post(os.environ["URL"] + "/cloudevents", data=body, headers=headers).raise_for_status()
