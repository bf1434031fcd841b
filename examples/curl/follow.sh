#!/bin/sh
# Prints the stored events in order of arrival, from the beginning and then as they arrive: each page as one line of
# JSON (`jq -c '.audits[]'` prints one line per event). After a restart it continues after the last printed page. Usage:
# follow.sh CURSOR_FILE [FILTER], with a filter such as `status=FAILURE&resources=application`.
set -eu
: "${AUDITBOX_URL:=http://127.0.0.1:8686}" "${AUDITBOX_TOKEN:?is not set: the API token of a credential with the scope read}"
file=${1:?usage: follow.sh CURSOR_FILE [FILTER]}
url="$AUDITBOX_URL/v1/audit-log?sort=received&order=asc&limit=1000${2:+&$2}"
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
while :; do
  cursor=$(cat "$file" 2>/dev/null || true)
  # The token is passed on standard input, so that it does not appear in the list of processes.
  status=$(echo "Authorization: Bearer $AUDITBOX_TOKEN" | curl -sS --max-time 60 -H @- -D "$work/headers" \
    -o "$work/page" -w '%{http_code}' "$url${cursor:+&cursor=$cursor}") || status="$status, cut off"
  case $status in
    200) ;;
    422) echo "refused: $(cat "$work/page")" >&2
      echo "If it is the cursor: the log was restored from a backup. Delete $file to begin again." >&2 && exit 1 ;;
    429 | 5?? | *,*) echo "no answer (status $status), trying again" >&2 && sleep 2 && continue ;;
    *) echo "refused with status $status: $(cat "$work/page")" >&2 && exit 1 ;;
  esac
  # An empty page is not printed, unless it reports damaged events.
  case $(cat "$work/page") in
    '{"ok":true,"audits":[],"next":"'*'"}') sleep 2 ;;
    *) cat "$work/page" && echo ;;
  esac
  # The cursor is saved only now, so a printed page is not requested again and no page is skipped.
  sed -n 's/^[Ll]ink: .*[?&]cursor=\([^>&]*\).*/\1/p' "$work/headers" >"$file.new" && mv "$file.new" "$file"
done
