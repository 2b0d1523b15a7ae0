#!/usr/bin/env bash
# Asks a running installation what a client first asks of it, and changes nothing there. Ends with 1 at the first answer that is not as it should be.
#
#   NEBULA_URL=https://api.example NEBULA_OPERATOR_KEY=nbk_… packaging/smoke.sh
#
# Without a key, what needs one is left out.
set -euo pipefail
: "${NEBULA_URL:?set NEBULA_URL to the address of the edge}"
body=$(mktemp) headers=$(mktemp) settings=$(mktemp)
trap 'rm -f "$body" "$headers" "$settings"' EXIT
# Not on the command line, which everybody on the machine can read.
chmod 600 "$settings"
if [[ -n ${NEBULA_OPERATOR_KEY:-} ]]; then printf 'header = "Authorization: Bearer %s"\n' "$NEBULA_OPERATOR_KEY" >"$settings"; fi
count=0
expect() { # status, what jq must find true in the answer, then curl's arguments
  local wanted=$1 holds=$2 status
  shift 2
  status=$(curl -sS --max-time 15 -o "$body" -D "$headers" -w '%{http_code}' "$@") || { echo "smoke: no answer: ${*: -1}" >&2; exit 1; }
  if [[ $status != "$wanted" ]] || ! jq -e "$holds" "$body" >/dev/null; then
    # The answer of a refusal holds nothing secret; that of a success might.
    echo "smoke: ${*: -1} answered $status, wanted $wanted and $holds" >&2
    if [[ $status != 2* ]]; then cat "$body" >&2; fi
    exit 1
  fi
  count=$((count + 1))
}

expect 200 '.status == "ok"' "$NEBULA_URL/health"
expect 200 '.status == "ready"' "$NEBULA_URL/health/ready"
expect 200 '.keys | length > 0' "$NEBULA_URL/.well-known/jwks.json"
expect 200 '.openapi | startswith("3.1")' "$NEBULA_URL/v1/openapi.json"
# Closed to strangers, with the error that the contract promises.
expect 401 '.error.code == "UNAUTHORIZED"' "$NEBULA_URL/v1/me"
expect 401 '.error.code == "INVALID_TOKEN"' -H 'Authorization: Bearer not.a.token' "$NEBULA_URL/v1/me"
grep -qi '^x-request-id: ' "$headers" || { echo 'smoke: an answer has no X-Request-Id' >&2; exit 1; }
expect 401 '.error.code == "INVALID_CREDENTIALS"' -H 'Content-Type: application/json' \
  -d '{"tenant": "smoke-nobody", "email": "nobody@smoke.example", "password": "not a password of anybody"}' "$NEBULA_URL/v1/auth/login"
if [[ -s $settings ]]; then
  expect 200 '.data.actor.type == "service"' -K "$settings" "$NEBULA_URL/v1/me"
  expect 200 '.data | type == "array"' -K "$settings" "$NEBULA_URL/v1/tenants?limit=1"
fi
echo "smoke: $count of $count answers are as they should be"
