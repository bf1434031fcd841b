#!/usr/bin/env python3
"""Sends the events on standard input, one JSON object per line, and returns when all of them are stored."""
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

url = os.environ.get("AUDITBOX_URL", "http://127.0.0.1:8686") + "/v1/audit-log"
headers = {"Authorization": "Bearer " + os.environ["AUDITBOX_TOKEN"]}  # the API token of a credential with the scope ingest


def send(event):
    if "identifier" not in json.loads(event):  # the same at each attempt, so that the server stores the event once
        event = event.replace(b"{", b'{"identifier":"%s",' % str(uuid.uuid4()).encode(), 1)
    wait = 1
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(url, event, headers), timeout=60).read()
            return
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                sys.exit(f"refused with status {error.code}: {error.read().decode()}")
            problem, wait = f"status {error.code}", max(wait, int(error.headers.get("Retry-After", 0)))
        except (OSError, http.client.HTTPException) as error:
            problem = error  # whether it is stored is not known: sending it again is safe
        print(f"not stored yet ({problem}), trying again in {wait} s", file=sys.stderr)
        time.sleep(wait)
        wait = min(2 * wait, 60)


for line in sys.stdin.buffer:
    send(line)
