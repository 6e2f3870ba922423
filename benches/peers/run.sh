#!/usr/bin/env bash
# bioprune beside other programs that do a part of the same work: installs them, builds ours, prints tables.
#
#   benches/peers/run.sh [engine] [selection] [files]     all three without arguments
#
# Needs Python 3.11 with venv; seqkit, bgzip and zstd (Debian: seqkit, tabix, zstd) are installed where root runs this.
# What is installed and written lies in BIOPRUNE_PEERS (the cache folder of the user without it): some 8 GB.
set -euo pipefail
cd "$(dirname "$0")/../.."

parts=("${@:-all}")
work=${BIOPRUNE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/bioprune-peers}
target=${CARGO_TARGET_DIR:-target}
python=$work/venv/bin/python
mkdir -p "$work"

wanted() { [[ " ${parts[*]} " == *" all "* || " ${parts[*]} " == *" $1 "* ]]; }

# The program that a bench was built as.
bench() {
  cargo bench --locked --no-run --bench "$1" --message-format json 2> /dev/null |
    grep -F '"kind":["bench"]' | grep -o '"executable":"[^"]*"' | cut -d'"' -f4
}

[ -x "$python" ] || python3 -m venv "$work/venv"
"$python" -m pip install --quiet --disable-pip-version-check -r benches/peers/requirements.txt
for program in seqkit bgzip zstd; do
  if ! command -v "$program" > /dev/null; then
    apt-get -qq update && apt-get -qq install --no-install-recommends seqkit tabix zstd > /dev/null
  fi
done
cargo build --locked --release
bioprune=$target/release/bioprune
peers=$(bench peers)

lscpu | grep -E '^(Model name|CPU\(s\)|L2|L3)'
lscpu | grep -oE 'avx2|avx512f|avx512_bf16|amx_bf16' | sort -u | tr '\n' ' '
printf '\nload average before: %s\n' "$(cut -d' ' -f1-3 /proc/loadavg)"

if wanted engine; then
  mkdir -p "$work/engine"
  [ -f "$work/engine/records.fa" ] || "$(bench models)" --write "$work/engine"
  "$python" benches/peers/engine.py "$bioprune" "$work/engine"
fi
if wanted selection; then
  for size in 1e6 1e7; do
    mkdir -p "$work/scores-$size"
    [ -f "$work/scores-$size/scores.parquet" ] || "$peers" scores "$work/scores-$size" "$size" 30
    printf '\n%s scores\n' "$size"
    "$python" benches/peers/selection.py "$peers" "$work/scores-$size"
  done
fi
if wanted files; then
  mkdir -p "$work/files"
  [ -f "$work/files/scores.parquet" ] || "$peers" scores "$work/files" 1e6 190
  "$python" benches/peers/files.py "$peers" "$bioprune" "$work/files"
fi
printf '\nload average after: %s\n' "$(cut -d' ' -f1-3 /proc/loadavg)"
