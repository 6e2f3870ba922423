#!/usr/bin/env python3
"""Two builds of bioprune on a whole job, in pairs: wall time, processor time, peak memory, and the ratio.

    benches/whole.py --rounds 5 OLD NEW -- prune rna.fa.gz --keep 10% --mask-passes 1

OLD and NEW are programs (the same one twice shows the noise). Each round runs both, the first of them in turn, into a new
folder; ratios are NEW to OLD within a round, so that a machine that slows down for a while slows both.
"""

import argparse
import os
import statistics
import sys
import tempfile

from peers.measure import measured


def run(program, arguments):
    """Seconds of wall and processor time, and the peak in MiB, of one run."""
    with tempfile.TemporaryDirectory() as folder:
        return measured([program, *arguments, "-o", os.path.join(folder, "out"), "--quiet"])


def main():
    arguments = sys.argv[1:]
    if "--" not in arguments:
        sys.exit(__doc__)
    split = arguments.index("--")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("old")
    parser.add_argument("new")
    options = parser.parse_args(arguments[:split])
    job = arguments[split + 1 :]
    figures = {"old": [], "new": []}
    for number in range(options.rounds):
        for name in ("old", "new") if number % 2 == 0 else ("new", "old"):
            figures[name].append(run(getattr(options, name), job))
    print(f"{'':<12}{'wall s':>10}{'proc. s':>10}{'peak MiB':>10}")
    for name, rows in figures.items():
        print(f"{name:<12}" + "".join(f"{statistics.median(column):>10.2f}" for column in zip(*rows)))
    ratios = [[new / old for old, new in zip(*pair)] for pair in zip(figures["old"], figures["new"])]
    medians = [statistics.median(column) for column in zip(*ratios)]
    print(f"{'new / old':<12}" + "".join(f"{ratio:>10.3f}" for ratio in medians))
    spread = [max(column) - min(column) for column in zip(*ratios)]
    print(f"{'its spread':<12}" + "".join(f"{width:>10.3f}" for width in spread))


if __name__ == "__main__":
    main()
