# The image of the service. Sourced by run.sh.
# shellcheck shell=bash

read -r port _ <<< "$(python3 "$root/tests/api/ports.py")"
address=http://127.0.0.1:$port

# As the README says to run it: nothing may be written but the jobs, no right is held. The volume of the jobs outlives it.
start_service() {
  mkdir -p "$work/served"
  cp "$work/set.fa" "$work/served/"
  chown -R 65532:65532 "$work/served"
  podman run --detach --name service --read-only --tmpfs /tmp --cap-drop=ALL --security-opt=no-new-privileges \
    --memory 1g --cpus 2 -v jobs:/data -v "$work/served:/sequences" -e BIOPRUNE_ALLOW=/sequences -e BIOPRUNE_LISTEN="127.0.0.1:$port" \
    "$service"
  python3 "$root/tests/api/wait.py" "$address/readyz" 200 || { podman logs service; return 1; }
}

no_rights() {
  test "$(podman exec service id -u)" = 65532
  fails_saying 'Read-only file system' podman exec service touch /usr/local/bin/other
  podman exec service grep -E '^CapEff:\s+0000000000000000$' /proc/1/status
  podman exec service grep -E '^NoNewPrivs:\s+1$' /proc/1/status
}

health() {
  podman healthcheck run service
  if podman exec -e BIOPRUNE_LISTEN=127.0.0.1:1 service bioprune health; then return 1; fi
}

# submit SECONDS INPUT OUTPUT PASSES: asks for a job, and waits so long for its end.
submit() {
  curl --silent --show-error --fail-with-body "$address/v1/prune" -H 'Content-Type: application/json' -H "Prefer: wait=$1" \
    -d "{\"inputs\": [\"/sequences/$2\"], \"output\": \"/sequences/$3/\", \"keep\": \"10%\", \"mask_passes\": $4, \"sample\": \"50\"}"
}

job_over_rest() {
  submit 60 set.fa out 1 | tee "$work/answer"
  grep '"complete"' "$work/answer"
  cmp "$expected/coreset.fa.gz" "$work/served/out/coreset.fa.gz"
  test "$(stat -c %u "$work/served/out/coreset.fa.gz")" = 65532
}

# state ID: of a job.
state() {
  curl --silent --fail "$address/v1/jobs/$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])'
}

# SIGTERM in mid-job: the service ends by itself, and the next one finishes the job.
sigterm_drains() {
  local id
  # the whole example: long enough to be met while it runs
  gzip -dc "$root/examples/rna/rfam_cm_samples.fa.gz" > "$work/served/long.fa"
  id=$(submit 0 long.fa drained 7 | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
  while [ "$(state "$id")" = queued ]; do sleep 0.1; done
  # one that does not end by itself is killed after a minute, and has another exit code
  podman stop --time 60 service
  test "$(podman inspect --format '{{.State.ExitCode}}' service)" = 0
  test ! -e "$work/served/drained/manifest.json"
  podman logs service 2>&1 | tail -n 5
  podman rm service
  start_service
  while [[ $(state "$id") =~ ^(queued|running)$ ]]; do sleep 0.2; done
  test "$(state "$id")" = complete
  (cd "$work" && "$program" prune served/long.fa --keep 10% --sample 50 -o drained-expected --quiet)
  cmp "$work/drained-expected/coreset.fa.gz" "$work/served/drained/coreset.fa.gz"
}

check 'service: starts read-only, without rights' start_service
check 'service: is not root, may write nothing, holds no capability' no_rights
check 'service: tells its health' health
check 'service: a job over REST gives the coreset of the command' job_over_rest
check 'service: SIGTERM in mid-job ends it, and the next one finishes the job' sigterm_drains
