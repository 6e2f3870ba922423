#!/usr/bin/env bash
# Runs everything in nextflow/ and snakemake/ for real on example records, and holds every way in to the coreset of the
# plain command, byte for byte.
#
#   tests/workflows/run.sh BIOPRUNE [nextflow|snakemake|slurm]
#
# BIOPRUNE is the built program. Needs Java 17, Maven, and Python 3.11 with venv; Nextflow and Snakemake are installed into
# the folder BIOPRUNE_TEST_WORKFLOWS, or into target/workflows. BIOPRUNE_TEST_WEED names SeaweedFS: its checks need it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
case $# in 1 | 2) ;; *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
program=$(realpath "$1")
engines=${2:-nextflow snakemake}
tools=${BIOPRUNE_TEST_WORKFLOWS:-${CARGO_TARGET_DIR:-$root/target}/workflows}

# shellcheck source-path=SCRIPTDIR
source "$here/install.sh"
# shellcheck source-path=SCRIPTDIR
source "$here/checks.sh"

work=$(mktemp -d)
store=''
trap '[ -z "$store" ] || kill -9 "$store"; rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$program" "$work/bin/bioprune"
chaos_rounds=${BIOPRUNE_CHAOS:-0}
weed=${BIOPRUNE_TEST_WEED-}
unset "${!BIOPRUNE_@}"
export PATH=$work/bin:$PATH

# Every sixteenth record of the example: some of each family.
gzip -dc "$root/examples/rna/rfam_cm_samples.fa.gz" | awk '/^>/ { take = n++ % 16 == 0 } take' > "$work/set.fa"
expected=$work/expected
# by the name that tasks see, which is written into the scores
(cd "$work" && bioprune prune set.fa --keep 10% --mask-passes 1 --sample 50 -o "$expected" --quiet)

for engine in $engines; do
  "install_$engine"
  # shellcheck source-path=SCRIPTDIR
  source "$here/$engine.sh"
done
verdict
