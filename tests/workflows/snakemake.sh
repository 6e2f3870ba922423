# The Snakemake wrappers and the workflow. Sourced by run.sh.
# shellcheck shell=bash

workflow=$root/snakemake
snakefile=$workflow/workflow/Snakefile

# sm NAME ARGUMENTS...: a run in a folder of its own, with the set and a configuration in it.
sm() {
  local folder=$work/snakemake/$1
  shift
  mkdir -p "$folder"
  cd "$folder"
  ln -sf "$work/set.fa" "$work/proteins" .
  printf 'sample\tsequences\nset\tset.fa\n' > samples.tsv
  printf 'samples: samples.tsv\nkeep: 10%%\nmask_passes: 1\nsample: 50\n' > config.yaml
  snakemake "$@"
}

lint_workflow() {
  sm "lint-$1" --snakefile "$snakefile" --configfile config.yaml --config shards="$@" --lint
}

formatted() {
  cd "$workflow"
  snakefmt --check .
}

# Options and rules are read; nothing is asked of a cluster or a bucket.
profile_parses_in_snakemake() {
  sm "profile-$1" --snakefile "$snakefile" --configfile config.yaml --profile "$workflow/profiles/$1" --list-rules "${@:2}"
}

wrapper_prune() {
  sm wrapper-prune --snakefile "$workflow/wrappers/bio/bioprune/prune/test/Snakefile" --config wrappers="$workflow/wrappers" \
    --cores 2
  same_coreset pruned
  cmp "$expected/scores.parquet" pruned/scores.parquet
}

wrapper_prune_on_proteins() {
  sm wrapper-proteins --version
  ln -sf proteins/set.fa set.fa
  snakemake --snakefile "$workflow/wrappers/bio/bioprune/prune/test/Snakefile" --config wrappers="$workflow/wrappers" --cores 2
  same_proteins pruned
}

# The test of `select` goes through the wrappers of all steps.
wrappers_of_the_steps() {
  sm wrappers --snakefile "$workflow/wrappers/bio/bioprune/select/test/Snakefile" --config wrappers="$workflow/wrappers" \
    --cores 2 control/coreset.fa.gz
  same_coreset selection
  cmp "$expected/curvature.safetensors" curvature.safetensors
  cmp "$expected/scores.parquet" scores.parquet
  test "$(wc -l < control/selected.tsv)" = "$(wc -l < "$expected/selected.tsv")"
  if cmp -s control/selected.tsv "$expected/selected.tsv"; then return 1; fi
}

test_of_each_wrapper_parses() {
  local name target
  for name in curvature:curvature.safetensors merge:curvature.safetensors score:parts/1-of-2.parquet; do
    target=${name#*:} name=${name%:*}
    [ $name != curvature ] || target=parts/1-of-2.safetensors
    sm wrappers-parse --snakefile "$workflow/wrappers/bio/bioprune/$name/test/Snakefile" \
      --config wrappers="$workflow/wrappers" --dry-run $target
  done
}

# A path that the program does not write is refused before anything runs.
wrapper_refuses_other_names() {
  mkdir -p "$work/snakemake/names"
  sed 's|pruned/coreset.fa.gz|pruned/other.fa.gz|' "$workflow/wrappers/bio/bioprune/prune/test/Snakefile" \
    > "$work/snakemake/names/Snakefile"
  fails_saying 'other.fa.gz: bioprune prune writes' \
    sm names --config wrappers="$workflow/wrappers" --cores 2
}

workflow_runs() {
  sm "workflow-$1" --version
  printf 'sample\tsequences\nset\tset.fa\nproteins\tproteins/set.fa\n' > samples.tsv
  snakemake --snakefile "$snakefile" --configfile config.yaml --config shards="$1" --cores 2
  same_coreset results/set
  # all that the plain command writes
  diff <(ls "$expected") <(ls results/set)
  cmp "$expected_proteins/coreset.fa.gz" results/proteins/coreset.fa.gz
  cmp "$expected/scores.parquet" results/set/scores.parquet
  cmp "$expected/curvature.safetensors" results/set/curvature.safetensors
}

# groups_of_a_clusterer SHARDS
groups_of_a_clusterer() {
  sm "groups-$1" --version
  printf 'sample\tsequences\tgroups\nset\tset.fa\t%s\n' "$work/clusters.tsv" > samples.tsv
  snakemake --snakefile "$snakefile" --configfile config.yaml \
    --config shards="$1" strategy=balanced cap_per_group=1 --cores 2
  expected=$expected_balanced same_coreset results/set
}

nothing_is_done_twice() {
  sm workflow-3 --snakefile "$snakefile" --configfile config.yaml --config shards=3 --cores 2 > "$work/again" 2>&1
  grep -q 'Nothing to be done' "$work/again"
}

# Two sets, one service that lives as long as they need it; one that is told to end has ended.
service_for_all_sets() {
  sm served --version
  printf 'sample\tsequences\nset\tset.fa\ntwin\tset.fa\n' > samples.tsv
  snakemake --snakefile "$snakefile" --configfile config.yaml --config service=True --cores 10
  # a service names sources by their whole paths: selected.tsv says so
  cmp "$expected/coreset.fa.gz" results/set/coreset.fa.gz
  cmp "$expected/coreset.fa.gz" results/twin/coreset.fa.gz
  test "$(grep -c 'job prune-.* complete' logs/serve.log)" = 2
  # nobody waits for its end
  timeout 20 bash -c 'while [ -S results/bioprune.sock ] || pgrep -f "unix-socket results/[b]ioprune.sock"; do sleep 0.1; done'
  fails_saying 'Set one of both' \
    snakemake --snakefile "$snakefile" --configfile config.yaml --config service=True shards=2 --dry-run
}

# Inputs and outputs in a bucket, through the storage plugin.
sets_in_object_storage() {
  put_object "$work/set.fa" bucket/in/set.fa
  sm stored --version
  printf 'sample\tsequences\nset\ts3://bucket/in/set.fa\n' > samples.tsv
  SNAKEMAKE_STORAGE_S3_ENDPOINT_URL=$s3 SNAKEMAKE_STORAGE_S3_ACCESS_KEY=all SNAKEMAKE_STORAGE_S3_SECRET_KEY=all-secret \
    snakemake --snakefile "$snakefile" --configfile config.yaml --config shards=2 --cores 2 \
    --default-storage-provider s3 --default-storage-prefix s3://bucket/out
  get_object bucket/out/results/set/coreset.fa.gz > stored.fa.gz
  cmp "$expected/coreset.fa.gz" stored.fa.gz
  test ! -e results/set/coreset.fa.gz
}

report_holds_the_page() {
  sm workflow-1 --snakefile "$snakefile" --configfile config.yaml --report report.html
  grep -q 'Coresets' report.html
}

as_a_module() {
  mkdir -p "$work/snakemake/module"
  cat > "$work/snakemake/module/Snakefile" << SNAKEFILE
module bioprune:
    snakefile:
        "$snakefile"
    config:
        config


use rule * from bioprune as bioprune_*


rule count:
    default_target: True
    input:
        "results/set/coreset.fa.gz",
    output:
        "count.txt",
    shell:
        "gzip -dc {input} | grep -c '>' > {output}"
SNAKEFILE
  sm module --configfile config.yaml --cores 2
  same_coreset results/set
  test "$(cat count.txt)" = "$(($(wc -l < "$expected/selected.tsv") - 1))"
}

bad_configuration() {
  fails_saying "'tenth' does not match" \
    sm bad --snakefile "$snakefile" --configfile config.yaml --config keep=tenth --dry-run
}

check 'snakemake: lint, one shard' lint_workflow 1
check 'snakemake: lint, in shards' lint_workflow 3
check 'snakemake: lint, with a service' lint_workflow 1 service=True
check 'snakemake: snakefmt' formatted
check 'snakemake: profile local' profile_parses_in_snakemake local
check 'snakemake: profile slurm' profile_parses_in_snakemake slurm
check 'snakemake: profile kubernetes' profile_parses_in_snakemake kubernetes --default-storage-prefix s3://bucket
check 'snakemake: profile aws-batch' profile_parses_in_snakemake aws-batch --default-storage-prefix s3://bucket \
  --aws-batch-region region --aws-batch-job-queue queue --aws-batch-job-role role
check 'snakemake: the wrapper of prune gives the coreset of the command' wrapper_prune
check 'snakemake: the wrapper of prune, on proteins' wrapper_prune_on_proteins
check 'snakemake: the wrappers of the steps give the coreset of the command' wrappers_of_the_steps
check 'snakemake: the test of each wrapper parses' test_of_each_wrapper_parses
check 'snakemake: a wrapper refuses what its command does not write' wrapper_refuses_other_names
check 'snakemake: the workflow gives the coreset of the command' workflow_runs 1
check 'snakemake: the workflow in shards gives the coreset of the command' workflow_runs 3
check 'snakemake: groups of a clusterer, one job' groups_of_a_clusterer 1
check 'snakemake: groups of a clusterer, in shards' groups_of_a_clusterer 2
check 'snakemake: one service for all sets' service_for_all_sets
if [ -n "${weed-}" ]; then
  # shellcheck source-path=SCRIPTDIR
  source "$here/store.sh"
  start_store
  check 'snakemake: sets and results in object storage' sets_in_object_storage
else
  echo 'left out      snakemake: object storage, as BIOPRUNE_TEST_WEED names no S3 server'
fi
check 'snakemake: nothing is done twice' nothing_is_done_twice
check 'snakemake: the report holds the page of a coreset' report_holds_the_page
check 'snakemake: the workflow as a module of another' as_a_module
check 'snakemake: a bad configuration is refused' bad_configuration
