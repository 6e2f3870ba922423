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

# Every sixteenth record of the RNA example, some of each family; and every fortieth of the proteins.
gzip -dc "$root/examples/rna/rfam_cm_samples.fa.gz" | awk '/^>/ { take = n++ % 16 == 0 } take' > "$work/set.fa"
mkdir "$work/proteins"
gzip -dc "$root/examples/protein/uniprot_sample.fa.gz" | awk '/^>/ { take = n++ % 40 == 0 } take' > "$work/proteins/set.fa"
expected=$work/expected
expected_proteins=$work/proteins/expected
expected_balanced=$work/balanced
# by the name that tasks see, which is written into the scores
for folder in "$work" "$work/proteins"; do
  (cd "$folder" && bioprune prune set.fa --keep 10% --mask-passes 1 --sample 50 -o expected --quiet)
done

# As mmseqs/easycluster writes it: the first record of a family, then each of the family.
awk '/^>/ { id = substr($1, 2); if (!($2 in first)) first[$2] = id; print first[$2] "\t" id }' "$work/set.fa" > "$work/clusters.tsv"
(cd "$work" && bioprune prune set.fa --keep 10% --mask-passes 1 --sample 50 --strategy balanced --cap-per-group 1 \
  --groups clusters.tsv -o balanced --quiet)
if cmp -s "$expected/selected.tsv" "$expected_balanced/selected.tsv"; then
  echo 'the groups make no difference to the coreset, so the checks of groups would see nothing'
  exit 1
fi

for engine in $engines; do
  "install_$engine"
  # shellcheck source-path=SCRIPTDIR
  source "$here/$engine.sh"
done
verdict
