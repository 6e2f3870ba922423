#!/usr/bin/env bash
# Draws uniprot_sample.fa.gz from the proteins that MMseqs2's example data hold, the same bytes every time. Needs one
# Debian package:
#   apt-get install --no-install-recommends mmseqs2-examples
set -euo pipefail
export LC_ALL=C
proteins=${MMSEQS2_PROTEINS:-/usr/share/doc/mmseqs2/example-data/DB.fasta.gz}
out=$(cd "$(dirname "$0")" && pwd)/uniprot_sample.fa.gz

# One line to a record: ">tr|W0FSK4|W0FSK4_9FLAV Genome polyprotein (Fragment) OS=Dengue virus 3 PE=4 SV=1" becomes
# ">W0FSK4 W0FSK4_9FLAV Genome polyprotein (Fragment) OS=Dengue virus 3". Proteins of 40 to 1,000 residues are kept,
# each accession once, and of those each eighth: enough to try everything on, few enough to score within a minute.
zcat "$proteins" | awk '
  /^>/ { if (header != "") print header "\t" sequence; header = $0; sequence = ""; next }
  { sequence = sequence $0 }
  END { print header "\t" sequence }
' | awk -F '\t' '
  {
    split(substr($1, 2), name, "|")
    text = name[3]
    sub(/ (GN|PE|SV)=.*$/, "", text)
    n = length($2)
    if (n < 40 || n > 1000 || seen[name[2]]++ || kept++ % 8) next
    print ">" name[2] " " text
    for (i = 1; i <= n; i += 80) print substr($2, i, 80)
  }
' | gzip -9n > "$out"

zcat "$out" | awk '/^>/ { records++; next } { residues += length } END { print records " records, " residues " residues" }'
sha256sum "$out" | cut -d' ' -f1
