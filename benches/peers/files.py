"""Reading, pulling a coreset out, and writing, beside seqkit, needletail and bgzip.

`files.py PEERS_BENCH BIOPRUNE FOLDER`

FOLDER holds `records.fa` and `scores.parquet`. Figures are of whole processes, on 2 threads at most.
"""

import os
import subprocess
import sys

from measure import interleaved, table

# Reading is short: the median of a few rounds is noise.
READS = 15
ROUNDS = 3


def shell(line):
    subprocess.run(line, shell=True, check=True)


def main():
    bench, program, folder = map(os.path.abspath, sys.argv[1:4])
    os.chdir(folder)
    for name, line in {
        "records.fa.gz": "gzip -c records.fa",
        "records.fa.bgz": "bgzip -@2 -c records.fa",
        "records.fa.zst": "zstd -q -c records.fa",
    }.items():
        if not os.path.exists(name):
            shell(f"{line} > {name}")
    for name in ("records.fa", "records.fa.gz", "records.fa.bgz", "records.fa.zst"):
        contestants = {
            "bioprune": [bench, "read", "bioprune", name],
            "needletail": [bench, "read", "needletail", name],
        }
        # seqkit goes by the name for BGZF, and Debian's reads no zstd
        if name.endswith(".bgz"):
            shell("ln -sf records.fa.bgz records.bgzf.fa.gz")
            contestants["seqkit stats -j 2"] = ["seqkit", "stats", "-j", "2", "records.bgzf.fa.gz"]
        elif not name.endswith(".zst"):
            contestants["seqkit stats -j 2"] = ["seqkit", "stats", "-j", "2", name]
        table(f"Reading {name}, {os.path.getsize(name) >> 20} MiB", interleaved(contestants, READS))

    select = f"'{program}' select scores.parquet --keep 1% --strategy top-k --quiet -o pulled > /dev/null"
    shell(f"{select} && zgrep '^>' pulled/coreset.fa.gz | cut -c2- | cut -d' ' -f1 > ids.txt")
    contestants = {
        "bioprune": select,
        "seqkit grep -f, bgzip": "seqkit grep -j 2 -f ids.txt records.fa 2> seqkit.log | bgzip -@2 > pulled.fa.gz",
    }
    rows = interleaved(contestants, ROUNDS)
    shell("test $(zcat pulled.fa.gz | grep -c '^>') = $(wc -l < ids.txt)")
    table("Pulling 1 % out of records.fa; ours selects, checks and reports as well, and needs no ids beforehand", rows)

    contestants = {
        "bioprune": [bench, "compress", "records.fa", "written.fa.gz"],
        "bgzip -@2": "bgzip -@2 -c records.fa > bgzip.fa.gz",
    }
    rows = interleaved(contestants, ROUNDS)
    sizes = [os.path.getsize(name) / (1 << 20) for name in ("written.fa.gz", "bgzip.fa.gz")]
    table("Writing records.fa as BGZF: {:.1f} MiB, by bgzip {:.1f}".format(*sizes), rows)


if __name__ == "__main__":
    main()
