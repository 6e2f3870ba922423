#!/usr/bin/env bash
# Draws rfam_cm_samples.fa.gz from Rfam's covariance models, the same bytes every time. Needs two Debian packages:
#   apt-get install --no-install-recommends prokka infernal
set -euo pipefail
export LC_ALL=C
models=${PROKKA_MODELS:-/usr/share/prokka/db/cm}
out=$(cd "$(dirname "$0")" && pwd)/rfam_cm_samples.fa.gz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A family is as large here as its seed alignment suggests: an eighth of the seed, at least 3 and at most 30 members.
# Families with fewer than 20 seed members are left out, and so is what a file before already had.
draw=30
for division in Bacteria Archaea Viruses; do
  cmstat "$models/$division" | awk '!/^#/ { print $2, $3, $4 }'
done | awk '!seen[$1]++ && $3 >= 20 { n = int($3 / 8); print $1, $2, (n < 3 ? 3 : (n > 30 ? 30 : n)) }' > "$work/families"

# One family is over-represented on purpose, as such families are in real collections.
crowd=Bacteria_small_SRP
awk -v crowd=$crowd '{ print $1, $2, ($1 == crowd ? 800 : $3) }' "$work/families" > "$work/sizes"

for division in Bacteria Archaea Viruses; do
  cmemit -N $draw --seed 1 "$models/$division"
done > "$work/draws"
cmfetch "$models/Bacteria" $crowd | cmemit -N 800 --seed 2 - > "$work/crowd"

# ">TPP-sample3" becomes ">TPP/3 RF00059"; only the first members of each family are kept, each once.
awk -v crowd=$crowd '
  FILENAME == ARGV[1] { accession[$1] = $2; size[$1] = $3; next }
  /^>/ {
    family = member = substr($1, 2)
    sub(/-sample[0-9]+$/, "", family)
    sub(/^.*-sample/, "", member)
    kept = (family in size) && (family != crowd || FILENAME == ARGV[3]) \
      && member + 0 <= size[family] && !seen[family, member]++
    if (kept) print ">" family "/" member " " accession[family]
    next
  }
  kept
' "$work/sizes" "$work/draws" "$work/crowd" | gzip -9n > "$out"

zcat "$out" | awk '/^>/ { records++; next } { residues += length } END { print records " records, " residues " residues" }'
sha256sum "$out" | cut -d' ' -f1
