#!/bin/sh
# Sends the events on standard input, one JSON object per line, and returns when all of them are stored. Each event
# needs an identifier, so that it is safe to send it again: the server stores it once.
set -eu
: "${AUDITBOX_URL:=http://127.0.0.1:8686}" "${AUDITBOX_TOKEN:?is not set: the API token of a credential with the scope ingest}"
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
while IFS= read -r event || [ -n "$event" ]; do
  case $event in
    *'"identifier"'*) ;;
    *) echo "this event has no identifier: $event" >&2 && exit 1 ;;
  esac
  printf '%s' "$event" >"$work/event"
  wait=1
  # The token is passed on standard input, so that it does not appear in the list of processes.
  until status=$(echo "Authorization: Bearer $AUDITBOX_TOKEN" | curl -sS --max-time 60 -H @- -o "$work/answer" \
    -w '%{http_code}' --data-binary "@$work/event" "$AUDITBOX_URL/v1/audit-log") && [ "$status" -lt 300 ]; do
    case $status in
      # Without a complete response, the event may or may not be stored. Sending it again is safe.
      000 | 2?? | 429 | 5??) echo "not stored yet (status $status), trying again in $wait s" >&2 ;;
      *) echo "refused with status $status: $(cat "$work/answer")" >&2 && exit 1 ;;
    esac
    sleep "$wait"
    wait=$((wait < 30 ? wait * 2 : 60))
  done
done
