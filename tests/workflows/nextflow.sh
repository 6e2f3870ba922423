# The Nextflow modules, the scatter and the pipeline. Sourced by run.sh.
# shellcheck shell=bash

pipeline=$root/nextflow
parsers='v1 v2'
profiles="docker docker {
podman podman {
singularity singularity {
conda conda {
slurm executor = 'slurm'
awsbatch executor = 'awsbatch'
googlebatch executor = 'google-batch'
k8s executor = 'k8s'
gpu accelerator =
service 512 MB
test mask_passes = 1"

# nf NAME PARSER ARGUMENTS...: a run in a launch folder of its own, so that runs do not lock one another out.
nf() {
  local launch=$work/nextflow/$1
  export NXF_SYNTAX_PARSER=$2
  shift 2
  mkdir -p "$launch"
  cd "$launch"
  rm -f trace.tsv
  nextflow run "$@" -with-trace trace.tsv
}

# statuses NAME: how many tasks of a run ended how, as "CACHED 13".
statuses() {
  tail -n +2 "$work/nextflow/$1/trace.tsv" | cut -f 5 | sort | uniq -c | awk '{ print $2, $1 }'
}

lint() {
  nextflow lint -o concise "$pipeline"
}

# Each profile by itself, and something that only it sets; two at a time.
profiles_parse() {
  local profile told
  while read -r profile told; do
    NXF_SYNTAX_PARSER=v1 nextflow config -profile "$profile" "$pipeline" > "$work/config.$profile" &
    [ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
  done <<< "$profiles"
  wait
  while read -r profile told; do
    grep -qF -- "$told" "$work/config.$profile" || { echo "profile $profile does not set: $told"; return 1; }
  done <<< "$profiles"
}

# All at once under the other parser.
profiles_parse_together() {
  local profile told
  NXF_SYNTAX_PARSER=v2 nextflow config -profile "$(cut -d ' ' -f 1 <<< "$profiles" | paste -sd ,)" "$pipeline" > "$work/config"
  grep -F -- "executor = 'k8s'" "$work/config"
  grep -F -- '512 MB' "$work/config"
}

gpu_takes_the_cuda_container() {
  cd "$work"
  nextflow inspect "$pipeline/main.nf" -profile test,docker --outdir results > "$work/cpu.json"
  nextflow inspect "$pipeline/main.nf" -profile test,docker,gpu --outdir results > "$work/gpu.json"
  python3 - "$work/cpu.json" "$work/gpu.json" << 'PYTHON'
import json, sys
cpu, gpu = ({p["name"]: p["container"] for p in json.load(open(path))["processes"]} for path in sys.argv[1:])
steps = {"BIOPRUNE_PRUNE", "BIOPRUNE_CURVATURE", "BIOPRUNE_SCORE"}
assert steps < cpu.keys() == gpu.keys(), cpu
for name in cpu:
    assert "cuda" not in cpu[name], (name, cpu[name])
    assert ("cuda" in gpu[name]) == (name in steps), (name, gpu[name])
PYTHON
}

modules_run() {
  nf "modules-$1" "$1" "$pipeline/tests/main.nf" --input "$work/set.fa" --outdir results
  same_coreset results/prune/set results/select/set results/scatter/set
  cmp "$expected/curvature.safetensors" results/prune/set/curvature.safetensors
  cmp results/merge/set.safetensors results/prune/set/curvature.safetensors
  cmp results/merge/set.parquet results/prune/set/scores.parquet
  test -s results/score/set.parquet
  # the control has as many records, and others
  test "$(wc -l < results/select/control/selected.tsv)" = "$(wc -l < "$expected/selected.tsv")"
  if cmp -s results/select/control/selected.tsv "$expected/selected.tsv"; then return 1; fi
}

modules_resume() {
  local tasks
  tasks=$(statuses modules-v1)
  test "${tasks% *}" = COMPLETED
  nf modules-v1 v1 "$pipeline/tests/main.nf" --input "$work/set.fa" --outdir results -resume
  test "$(statuses modules-v1)" = "CACHED ${tasks#* }"
}

# Twins of the input: other inodes and times, as on the machines of a cloud.
modules_run_on_copies() {
  nf copies v1 "$pipeline/tests/main.nf" --input "$work/set.fa" --outdir results -process.stageInMode copy
  same_coreset results/prune/set results/select/set results/scatter/set
}

modules_stub() {
  nf stub v1 "$pipeline/tests/main.nf" --input "$work/set.fa" --outdir results -stub
  gzip -t results/prune/set/coreset.fa.gz
  for step in prune select scatter; do test -e results/$step/set/manifest.json; done
  local version
  version=$(bioprune --version)
  grep -qx "version BIOPRUNE_PRUNE bioprune ${version#bioprune }" "$work/log"
  nf stub-uri v2 "$pipeline/tests/uri/main.nf" --input s3://bucket/set.fa --etag 1 --destination s3://bucket/pruned/ -stub
  grep -qx 'coreset set s3://bucket/pruned/coreset.fa.gz' "$work/log"
}

samplesheet() {
  printf 'sample,sequences\nset,set.fa\nparts,first.fa\nparts,second.fa.gz\nproteins,proteins/set.fa\n' > "$work/sheet.csv"
  awk '/^>/ { n++ } n <= 100' "$work/set.fa" > "$work/first.fa"
  awk '/^>/ { n++ } n > 100' "$work/set.fa" | gzip -c > "$work/second.fa.gz"
}

pipeline_runs() {
  local name=$1 parser=$2 profile=$3
  shift 3
  nf "$name" "$parser" "$pipeline/main.nf" -profile "$profile" --input "$work/sheet.csv" --outdir results --sample 50 "$@"
  same_coreset results/set
  same_proteins results/proteins
  # all that the plain command writes
  for sample in set parts; do
    diff <(ls "$expected") <(ls "results/$sample")
  done
}

# groups_of_a_clusterer SHARDS
groups_of_a_clusterer() {
  printf 'sample,sequences,groups\nset,set.fa,clusters.tsv\n' > "$work/grouped.csv"
  nf "groups-$1" v2 "$pipeline/main.nf" -profile test --input "$work/grouped.csv" --outdir results --sample 50 --shards "$1" \
    --strategy balanced --cap_per_group 1 --skip_multiqc
  expected=$expected_balanced same_coreset results/set
}

# The page holds the numbers of the coreset of each set.
multiqc_tells() {
  local results=$work/nextflow/$1/results
  test -s "$results/multiqc/multiqc_report.html"
  python3 - "$results" << 'PYTHON'
import csv, gzip, pathlib, sys
results = pathlib.Path(sys.argv[1])
with open(results / "multiqc/multiqc_report_data/multiqc_general_stats.txt") as file:
    rows = {row["Sample"]: row for row in csv.DictReader(file, delimiter="\t")}
assert rows.keys() == {"set", "parts", "proteins"}, rows
for sample, row in rows.items():
    kept = gzip.decompress((results / sample / "coreset.fa.gz").read_bytes()).count(b">")
    told = next(float(value) for column, value in row.items() if column.endswith("-kept"))
    assert told == kept, (sample, told, kept)
PYTHON
}

bad_samplesheet() {
  printf 'sample,sequences\nset,set.fa\na b,set.fa\n' > "$work/bad.csv"
  fails_saying "row 2: sample 'a b'" nf bad v2 "$pipeline/main.nf" --input "$work/bad.csv" --outdir results
}

# A program that finds its service busy at the first try of a name, of which two sets have the same, then does its work.
busy_is_tried_again() {
  mkdir -p "$work/busy"
  cat > "$work/busy/bioprune" << SCRIPT
#!/usr/bin/env bash
if [ "\$1" = prune ] && mkdir "$work/busy/\$(basename "\${*: -1}")" 2> /dev/null; then exit 104; fi
exec "$program" "\$@"
SCRIPT
  chmod +x "$work/busy/bioprune"
  PATH=$work/busy:$PATH nf busy v1 "$pipeline/main.nf" -profile test --input "$work/sheet.csv" --outdir results --sample 50 \
    --skip_multiqc
  same_coreset results/set
  test "$(statuses busy)" = $'COMPLETED 3\nFAILED 2'
}

# A program whose first attempt is killed once a part of its scores is committed: the next one, in another folder, goes on.
killed_goes_on() {
  local killed=$work/killed
  mkdir -p "$killed/bin"
  cat > "$killed/bin/bioprune" << SCRIPT
#!/usr/bin/env bash
set -euo pipefail
[ "\$1" = prune ] || exec "$program" "\$@"
mkdir "$killed/begun" 2> /dev/null || exec "$program" -v "\$@"
BIOPRUNE_MAX_BATCH_TOKENS=600 BIOPRUNE_COMMIT_EVERY=0 BIOPRUNE_THREADS=1 "$program" "\$@" &
until compgen -G "$killed/committed/scores.parquet-*/*" > /dev/null; do sleep 0.01; done
kill -KILL \$!
exit 137
SCRIPT
  chmod +x "$killed/bin/bioprune"
  printf 'sample,sequences\nset,set.fa\n' > "$work/killed.csv"
  printf "env { BIOPRUNE_COMMIT_TO = '%s' }\n" "$killed/committed" > "$killed/config"
  PATH=$killed/bin:$PATH nf killed v1 "$pipeline/main.nf" -c "$killed/config" -profile test --input "$work/killed.csv" \
    --outdir results --sample 50 --skip_multiqc
  same_coreset results/set
  test "$(statuses killed)" = $'COMPLETED 1\nFAILED 1'
  grep -rhE '[0-9]+ scores that an earlier run committed' --include .command.err work
  if find "$killed/committed" -type f | grep .; then return 1; fi
}

bad_input_is_not_tried_again() {
  printf '>a\nACGU\n>b\nAC!U\n' > "$work/illegal.fa"
  printf 'sample,sequences\nillegal,illegal.fa\n' > "$work/illegal.csv"
  fails_saying "residue 3 is '!'" nf illegal v1 "$pipeline/main.nf" -profile test --input "$work/illegal.csv" --outdir results
  test "$(statuses illegal)" = 'FAILED 1'
}

example_of_two_lines() {
  nf existing v1 "$pipeline/examples/existing.nf" --input "$work/set.fa"
  test "$(cat results/set.records.txt)" = 30
  test "$(grep -c '// line [12]$' "$pipeline/examples/existing.nf")" = 2
}

# serve NAME OPTION...: a service, for as long as this check lasts.
serve() {
  bioprune serve --unix-socket "$work/$1.sock" --data-dir "$work/$1" "${@:2}" > "$work/service.log" 2>&1 &
  # shellcheck disable=SC2064
  trap "kill $!" EXIT
  export BIOPRUNE_SERVER=unix://$work/$1.sock
  for _ in $(seq 100); do bioprune jobs list > /dev/null 2>&1 && break; sleep 0.1; done
}

# The tasks only wait: a service of this program does the work.
through_a_service() {
  serve service --allow "$work/"
  pipeline_runs service v1 test,service --skip_multiqc
  test "$(bioprune jobs list --state complete --json | grep -c '"prune"')" = 3
}

# A process that only waits takes no card, whatever profile says where it runs.
waiting_takes_no_card() {
  nextflow inspect "$pipeline/main.nf" -profile test,docker,gpu,service --outdir results > "$work/waiting.json"
  if grep cuda "$work/waiting.json"; then return 1; fi
}

# etag KEY: of an object of the store.
etag() {
  curl --silent --fail --head --aws-sigv4 aws:amz:us-east-1:s3 --user all:all-secret "$s3/$1" |
    sed -n 's/^[Ee][Tt]ag: "\(.*\)".*/\1/p'
}

by_reference() {
  nf uri "$1" "$pipeline/tests/uri/main.nf" --input s3://bucket/uri/set.fa --etag "$(etag bucket/uri/set.fa)" \
    --destination s3://bucket/uri/pruned "${@:2}"
  get_object bucket/uri/pruned/coreset.fa.gz > coreset.fa.gz
}

# A service with the store's credentials does the work; the task has none, and sees no sequence.
objects_by_reference() {
  put_object "$work/set.fa" bucket/uri/set.fa
  AWS_ENDPOINT_URL=$s3 AWS_ACCESS_KEY_ID=all AWS_SECRET_ACCESS_KEY=all-secret serve uri
  by_reference v1
  cmp "$expected/coreset.fa.gz" coreset.fa.gz
  test "$(statuses uri)" = 'COMPLETED 1'
  if find work -name '*.fa*' | grep .; then return 1; fi
  by_reference v1 -resume
  test "$(statuses uri)" = 'CACHED 1'
  # another object under the same name
  put_object "$work/first.fa" bucket/uri/set.fa
  by_reference v1 -resume
  test "$(statuses uri)" = 'COMPLETED 1'
  if cmp -s "$expected/coreset.fa.gz" coreset.fa.gz; then return 1; fi
  test "$(bioprune jobs list --state complete --json | grep -c '"prune"')" = 2
  put_object "$work/proteins/set.fa" bucket/uri/set.fa
  by_reference v1 -resume
  cmp "$expected_proteins/coreset.fa.gz" coreset.fa.gz
}

check 'nextflow: lint' lint
check 'nextflow: every profile parses' profiles_parse
check 'nextflow, parser v2: every profile parses' profiles_parse_together
check 'nextflow: profile gpu takes the CUDA container where there is something to compute' gpu_takes_the_cuda_container
check 'nextflow: a task that waits for a service takes no card' waiting_takes_no_card
for parser in $parsers; do
  check "nextflow, parser $parser: each module and the scatter give the coreset of the command" modules_run $parser
done
check 'nextflow: -resume does nothing again' modules_resume
check 'nextflow: copies of the input in each task make no difference' modules_run_on_copies
check 'nextflow: stubs write every output, with a version' modules_stub
samplesheet
check 'nextflow: the pipeline, one task for each set' pipeline_runs pipeline v2 test
check 'nextflow: MultiQC tells what was kept' multiqc_tells pipeline
check 'nextflow: the pipeline in shards' pipeline_runs shards v1 test --shards 3 --skip_multiqc
check 'nextflow: groups of a clusterer, one task' groups_of_a_clusterer 1
check 'nextflow: groups of a clusterer, in shards' groups_of_a_clusterer 2
check 'nextflow: a bad samplesheet is refused by row and column' bad_samplesheet
check 'nextflow: a busy service is tried again' busy_is_tried_again
check 'nextflow: a task that is killed goes on from what it committed' killed_goes_on
check 'nextflow: bad input is not tried again' bad_input_is_not_tried_again
check 'nextflow: the example of two lines' example_of_two_lines
check 'nextflow: the pipeline through a service' through_a_service
if [ -n "$weed" ]; then
  # shellcheck source-path=SCRIPTDIR
  source "$here/store.sh"
  start_store
  check 'nextflow: objects by reference, and one that changed' objects_by_reference
else
  echo 'left out      nextflow: object storage, as BIOPRUNE_TEST_WEED names no S3 server'
fi
