# A real S3 server for the checks that need one. Sourced; uses $weed, $work and $root, sets $store and $s3.
# shellcheck shell=bash

# Starts it, unless it runs. SeaweedFS takes the port 10,000 above each of its ports for itself.
start_store() {
  local master volume
  [ -z "$store" ] || return 0
  read -r master volume filer s3 <<< "$(python3 "$root/tests/api/ports.py")"
  mkdir "$work/store"
  cat > "$work/s3.json" << JSON
{"identities": [{"name": "all", "credentials": [{"accessKey": "all", "secretKey": "all-secret"}],
                 "actions": ["Admin", "Read", "List", "Tagging", "Write"]}]}
JSON
  "$weed" server -dir="$work/store" -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false -filer \
    -master.volumeSizeLimitMB=64 -volume.max=20 -volume.preStopSeconds=0 -master.electionTimeout=1s \
    -s3.port.iceberg=0 -s3.port.lance=0 -s3 "-s3.config=$work/s3.json" \
    "-master.port=$master" "-volume.port=$volume" "-filer.port=$filer" "-s3.port=$s3" > "$work/store.log" 2>&1 &
  store=$!
  # its end is nothing to tell
  disown
  filer=http://127.0.0.1:$filer/buckets s3=http://127.0.0.1:$s3
  python3 "$root/tests/api/wait.py" "$s3/" 403 || { cat "$work/store.log"; return 1; }
}

# put_object FILE BUCKET/KEY, get_object BUCKET/KEY: past the S3 interface; a bucket is a folder of the server's file system.
put_object() {
  curl --silent --show-error --fail --upload-file "$1" "$filer/$2"
}

get_object() {
  curl --silent --show-error --fail "$filer/$1"
}
