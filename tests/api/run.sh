#!/usr/bin/env bash
# The API from outside: a linter reads its document, schemathesis tries every operation with good and bad data against a
# live service over a real S3 server, and the Python and the TypeScript client that openapi-generator makes of the document
# do a whole round trip each.
#
#   tests/api/run.sh PROGRAM VENV     BIOPRUNE_TEST_WEED names SeaweedFS; the tools are installed into VENV
#                                     BIOPRUNE_TEST_SEED repeats the data of a run that told its seed
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
program=$(realpath "$1")
venv=$(realpath "$2")
: "${BIOPRUNE_TEST_WEED:?names the program of SeaweedFS}"
examples=${BIOPRUNE_API_EXAMPLES:-10}

if [ ! -f "$venv/api-tools" ]; then
  "$venv/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.0 openapi-generator-cli==7.26.0
  touch "$venv/api-tools"
fi

node=$venv/node/node_modules/.bin
if [ ! -f "$venv/node/complete" ]; then
  if ! command -v npm > /dev/null; then
    if [ "$(id -u)" != 0 ]; then
      echo 'the document is linted, and the TypeScript client compiled, by Node.js and npm, which are not installed' >&2
      exit 1
    fi
    apt-get -qq update && apt-get -qq install --no-install-recommends nodejs npm > /dev/null
  fi
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$venv/node" \
    @stoplight/spectral-cli@6.16.3 typescript@5.9.3
  touch "$venv/node/complete"
fi

echo "== linter"
"$node/spectral" lint "$root/openapi/openapi.json" --ruleset "$here/spectral.yaml" --fail-severity=warn

work=$(mktemp -d)
service='' store=''
clean_up() {
  [ -z "$service" ] || kill -9 "$service" 2>/dev/null || true
  [ -z "$store" ] || kill -9 "$store" 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT

weed=$BIOPRUNE_TEST_WEED
# shellcheck source-path=SCRIPTDIR/../workflows
source "$root/tests/workflows/store.sh"
start_store
export AWS_ENDPOINT_URL=$s3 AWS_ACCESS_KEY_ID=all AWS_SECRET_ACCESS_KEY=all-secret
# The names are those of the document's examples, so that these are real jobs.
python3 - "$root/examples/rna/rfam_cm_samples.fa.gz" "$work/rna.fa.gz" <<'PYTHON'
import gzip, sys
records = gzip.open(sys.argv[1], "rb").read().split(b"\n>")
with gzip.open(sys.argv[2], "wb") as file:
    file.write(b"\n>".join([r for r in records if len(r) < 90][:40]) + b"\n")
PYTHON
put_object "$work/rna.fa.gz" bucket/rna.fa.gz

# there from the start: it is read before the service may have begun
: > "$work/service.log"
"$program" serve --listen 127.0.0.1:0 --data-dir "$work/jobs" 2>> "$work/service.log" &
service=$!
for _ in $(seq 100); do
  url=$(sed -n 's/.*listening on //p' "$work/service.log")
  [ -z "$url" ] || break
  sleep 0.1
done
python3 "$here/wait.py" "$url/readyz" 200

echo "== schemathesis"
cd "$work"
"$venv/bin/schemathesis" --config-file "$here/schemathesis.toml" run "$url/openapi.json" --url "$url" --checks all --mode all \
  --phases examples,coverage,fuzzing --max-examples "$examples" \
  ${BIOPRUNE_TEST_SEED:+--seed "$BIOPRUNE_TEST_SEED"} --request-timeout 90 --max-response-time 90 --no-color > schemathesis.log 2>&1 ||
  { cat schemathesis.log service.log; exit 1; }
tail -n 12 schemathesis.log
if grep -q ' error: internal' service.log; then
  cat service.log
  exit 1
fi

echo "== Python client"
"$venv/bin/openapi-generator-cli" generate -g python -i "$root/openapi/openapi.json" -o client \
  --additional-properties=packageName=bioprune_client > generator.log 2>&1 || { cat generator.log; exit 1; }
"$venv/bin/pip" install --quiet --disable-pip-version-check ./client
"$venv/bin/python" "$here/round_trip.py" "$url"

echo "== TypeScript client"
mkdir -p typescript/node_modules
"$venv/bin/openapi-generator-cli" generate -g typescript-fetch -i "$root/openapi/openapi.json" \
  -o typescript/node_modules/bioprune-client --additional-properties=npmName=bioprune-client > generator.log 2>&1 ||
  { cat generator.log; exit 1; }
"$node/tsc" --strict -p typescript/node_modules/bioprune-client
cp "$here/round_trip.ts" typescript/
"$node/tsc" --strict --target es2022 --module commonjs --lib es2022,dom --rootDir typescript --outDir typescript/build \
  typescript/round_trip.ts
(cd typescript && node build/round_trip.js "$url")
