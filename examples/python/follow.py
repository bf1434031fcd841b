#!/usr/bin/env python3
"""Prints the stored events, one per line, in order of arrival, from the beginning and then as they arrive. After a restart it
continues after the last printed page. Usage: follow.py CURSOR_FILE [FILTER], with a filter such as `status=FAILURE`."""
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request

file, query = sys.argv[1], "sort=received&order=asc&limit=1000" + "".join("&" + filter for filter in sys.argv[2:])
url = os.environ.get("AUDITBOX_URL", "http://127.0.0.1:8686") + "/v1/audit-log?" + query
headers = {"Authorization": "Bearer " + os.environ["AUDITBOX_TOKEN"]}  # the API token of a credential with the scope read
cursor = open(file).read().strip() if os.path.exists(file) else ""

while True:
    try:
        request = urllib.request.Request(url + ("&cursor=" + cursor if cursor else ""), headers=headers)
        page = json.load(urllib.request.urlopen(request, timeout=60))
    except urllib.error.HTTPError as error:
        if error.code == 422:
            sys.exit(f"refused: {error.read().decode()}\nIf it is the cursor: the log was restored from a backup. Delete {file} to begin again.")
        if error.code < 500 and error.code != 429:
            sys.exit(f"refused with status {error.code}: {error.read().decode()}")
        print(f"status {error.code}, trying again", file=sys.stderr)
        time.sleep(max(2, int(error.headers.get("Retry-After", 0))))
        continue
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"no answer ({error}), trying again", file=sys.stderr)
        time.sleep(2)
        continue
    for event in page["audits"]:
        print(json.dumps(event), flush=True)
    if "damaged" in page:
        print(f"events that are damaged in the log: {page['damaged']}", file=sys.stderr)
    cursor = page["next"]
    with open(file + ".new", "w") as new:  # saved only now: no page is printed twice or skipped
        new.write(cursor)
    os.replace(file + ".new", file)
    if not page["audits"]:
        time.sleep(2)
