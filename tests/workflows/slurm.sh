# The scatter over eight shards on a Slurm cluster of two nodes, with both engines, through what goes wrong on clusters. Sourced
# by run.sh. BIOPRUNE_CHAOS adds so many rounds in which nodes, jobs and engines are killed at random moments.
# shellcheck shell=bash

cluster() {
  "$here/slurm/cluster.sh" "$@"
}

# drill NAME TASK=TIMES...: the name of the runs that follow; TASK (STEP-SHARD) stops in the middle of its work so many times.
drill() {
  export DRILL=$work/drill/$1
  local stop
  shift
  mkdir -p "$DRILL"/{begun,held,hold,run}
  cd "$DRILL/run"
  for stop; do echo "${stop#*=}" > "$DRILL/hold/${stop%=*}"; done
  deadline=$((SECONDS + 1200))
}

# The workflow of this check: it ends with the check, however that ends, and so do its jobs.
running() {
  engine=$1
  trap 'kill -KILL "$engine" 2> /dev/null || true; scancel --user root' EXIT
}

is_running() {
  if [ $SECONDS -gt $deadline ]; then
    echo 'this takes too long; the jobs are:'
    squeue --states all
    exit 1
  fi
  kill -0 "$engine" 2> /dev/null
}

# The workflow ends by itself, and well.
ends() {
  while is_running; do sleep 0.2; done
  wait "$engine"
}

# start_nextflow [OPTION]...: in the background; sets `engine`.
start_nextflow() {
  NXF_SYNTAX_PARSER=v1 nextflow run "$root/nextflow/main.nf" -c "$here/slurm/nextflow.config" -profile test,gpu,slurm \
    --queue main --input "$work/${sheet:-one.csv}" --outdir results --sample 50 --shards 8 --skip_multiqc "$@" &
  running $!
}

# With the profile that ships, but for a cluster without accounts that answers at once.
start_snakemake() {
  ln -sf "${set:-$work/set.fa}" set.fa
  printf 'sample\tsequences\nset\tset.fa\n' > samples.tsv
  printf 'samples: samples.tsv\nkeep: 10%%\nmask_passes: 1\nsample: 50\nshards: 8\ngpus: 1\n' > config.yaml
  snakemake --snakefile "$root/snakemake/workflow/Snakefile" --configfile config.yaml \
    --workflow-profile none --profile "$root/snakemake/profiles/slurm" --default-resources slurm_partition=main mem_mb=1000 runtime=60 \
    --max-threads 2 --latency-wait 5 --seconds-between-status-checks 2 --slurm-no-account \
    --slurm-status-command squeue --slurm-init-seconds-before-status-checks 3 "$@" &
  running $!
}

# stopped TASK [ATTEMPT]: waits until it stopped; sets its `node` and Slurm `job`.
stopped() {
  until [ -e "$DRILL/held/$1.${2:-1}" ]; do
    is_running || { echo "the workflow ended, and $1 did not stop"; return 1; }
    sleep 0.1
  done
  read -r node job < "$DRILL/held/$1.${2:-1}"
}

# requeued JOB: Slurm starts a job again two minutes after it lost it; this one as soon as it may be told to.
requeued() {
  until [ "$(squeue --noheader --jobs "$1" --format %t)" = PD ]; do is_running; sleep 0.1; done
  while [ "$(squeue --noheader --jobs "$1" --format %t)" = PD ]; do
    is_running
    start_requeued
    sleep 0.5
  done
}

# Takes the node from all that runs on it.
preempt() {
  srun --partition urgent --nodelist "$1" --exclusive true
}

# attempts TASK: how often it was begun.
attempts() {
  find "$DRILL/begun" -name "$1.*" | wc -l
}

# begun TASK TIMES: that often, neither more nor less.
begun() {
  [ "$(attempts "$1")" = "$2" ] || { echo "$1 was begun $(attempts "$1") times, not $2"; return 1; }
}

# each_has_a_card: of every task that computes.
each_has_a_card() {
  if awk '$4 !~ /^[0-3]$/' "$DRILL/tasks" | grep .; then return 1; fi
}

nextflow_loses_a_node_and_a_task() {
  drill nextflow curvature-3=1 score-6=1
  start_nextflow
  stopped curvature-3
  cluster crash "$node"
  # a job of a node that is gone has no exit status
  until [ "$(attempts curvature-3)" = 2 ]; do is_running; sleep 0.1; done
  cluster join "$node"
  stopped score-6
  preempt "$node"
  ends
  same_coreset results/set
  begun curvature-3 2
  begun score-6 2
  each_has_a_card
}

# The job of the first Nextflow is still there when the second one does its work anew, and both write at once.
nextflow_is_killed() {
  drill nextflow-killed score-5=1
  start_nextflow
  stopped score-5
  kill -KILL "$engine"
  wait "$engine" || true
  start_nextflow -resume -with-trace trace.tsv
  ends
  same_coreset results/set
  begun score-5 2
  test "$(cut -f 5 trace.tsv | grep -c CACHED)" -ge 9
}

nextflow_on_proteins() {
  drill nextflow-proteins
  sheet=proteins.csv start_nextflow
  ends
  same_proteins results/proteins
  test "$(wc -l < "$DRILL/tasks")" -ge 16
}

snakemake_on_proteins() {
  drill snakemake-proteins
  set=$work/proteins/set.fa start_snakemake
  ends
  same_proteins results/set
  test "$(wc -l < "$DRILL/tasks")" -ge 16
}

# Slurm itself starts what it lost again: under the same name, in the same folder.
snakemake_loses_a_node_and_a_task() {
  drill snakemake curvature-3=1 score-6=2
  start_snakemake
  stopped curvature-3
  cluster crash "$node"
  requeued "$job"
  cluster join "$node"
  stopped score-6
  preempt "$node"
  requeued "$job"
  # a ghost: the node is given up, but its task works on while its successor does
  stopped score-6 2
  cluster cut "$node"
  requeued "$job"
  ends
  cluster join "$node"
  same_coreset results/set
  cmp "$expected/scores.parquet" results/set/scores.parquet
  cmp "$expected/curvature.safetensors" results/set/curvature.safetensors
  begun score-6 3
  each_has_a_card
}

# What Slurm lost, and would start again in two minutes.
start_requeued() {
  local job
  for job in $(squeue --noheader --states PD --format %A); do
    scontrol update "JobId=$job" StartTime=now || true
  done
}

# Two misfortunes at random moments; ROUND is the seed of what they are.
chaos() {
  local name=$1 round=$2 _
  RANDOM=$round
  drill "chaos-$name-$round"
  "start_$name"
  for _ in 1 2; do
    sleep $((RANDOM % 12 + 3))
    is_running || break
    node=n$((RANDOM % 2 + 1))
    case $((RANDOM % 4)) in
      0) echo "$node crashes"; cluster crash "$node" ;;
      1)
        echo "$node is cut off, and started anew"
        cluster cut "$node"
        start_requeued
        sleep $((RANDOM % 5))
        # back with its tasks it would be sent those very tasks again, which Slurm takes for a fault of the node
        cluster crash "$node"
        ;;
      2) echo "$node is taken by others"; preempt "$node" ;;
      3)
        echo "$name is killed"
        kill -KILL "$engine"
        wait "$engine" || true
        "resume_$name"
        ;;
    esac
    sleep $((RANDOM % 5))
    cluster join "$node"
    start_requeued
  done
  while is_running; do
    start_requeued
    sleep 2
  done
  wait "$engine"
  same_coreset results/set
}

resume_nextflow() {
  start_nextflow -resume
}

resume_snakemake() {
  snakemake --snakefile "$root/snakemake/workflow/Snakefile" --configfile config.yaml --unlock
  start_snakemake
}

export SLURM_HOME=$work/slurm
trap 'cluster down; [ -z "$store" ] || kill -9 "$store"; rm -rf "$work"' EXIT
cluster up
eval "$(cluster env)"
PATH=$here/slurm/bin:$PATH
export DRILL_PROGRAM=$program
printf 'sample,sequences\nset,set.fa\n' > "$work/one.csv"
printf 'sample,sequences\nproteins,proteins/set.fa\n' > "$work/proteins.csv"

check 'slurm: Nextflow: a node crashes, a task is preempted' nextflow_loses_a_node_and_a_task
check 'slurm: Nextflow is killed and resumed, and jobs of both write at once' nextflow_is_killed
check 'slurm: Nextflow: proteins' nextflow_on_proteins
check 'slurm: Snakemake: a node crashes, a task is preempted, a ghost writes beside its successor' snakemake_loses_a_node_and_a_task
check 'slurm: Snakemake: proteins' snakemake_on_proteins

for round in $(seq "$chaos_rounds"); do
  check "slurm: Nextflow, two misfortunes, round $round" chaos nextflow "$round"
  check "slurm: Snakemake, two misfortunes, round $round" chaos snakemake "$round"
done
