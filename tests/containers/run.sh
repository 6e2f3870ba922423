#!/usr/bin/env bash
# Builds the images of containers/ with buildah, runs them with podman, and holds every one to the coreset of the plain
# command, byte for byte.
#
#   tests/containers/run.sh BIOPRUNE
#
# BIOPRUNE is the built program: the images take it as it is. Needs Python 3.11 with venv, and npm; as root it installs
# buildah, podman, runc and mmdebstrap. The base image is made once, in the folder BIOPRUNE_TEST_CONTAINERS or
# target/containers. The Nextflow and Snakemake that tests/workflows/run.sh installed (BIOPRUNE_TEST_WORKFLOWS) run steps in
# the image; without them this is said and left out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
[ $# = 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
program=$(realpath "$1")
tools=${BIOPRUNE_TEST_CONTAINERS:-${CARGO_TARGET_DIR:-$root/target}/containers}
workflows=${BIOPRUNE_TEST_WORKFLOWS:-${CARGO_TARGET_DIR:-$root/target}/workflows}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
step=bioprune/bioprune:$version
service=bioprune/service:$version

# shellcheck source-path=SCRIPTDIR
source "$here/../workflows/checks.sh"
# shellcheck source-path=SCRIPTDIR
source "$here/engine.sh"

work=$(mktemp -d)
clean_up() {
  remove_engine
  rm -rf "$work"
}
trap clean_up EXIT
unset "${!BIOPRUNE_@}"

# Every sixteenth record of the example, and what the plain command makes of it.
gzip -dc "$root/examples/rna/rfam_cm_samples.fa.gz" | awk '/^>/ { take = n++ % 16 == 0 } take' > "$work/set.fa"
job=(--keep 10% --mask-passes 1 --sample 50)
expected=$work/expected
(cd "$work" && "$program" prune set.fa "${job[@]}" -o "$expected" --quiet)

# not a check: its variables hold for all that follows
install_engine
check 'the base image is made' base_image
# shellcheck source-path=SCRIPTDIR
for part in build step service engines manifests cuda packages; do source "$here/$part.sh"; done
verdict
