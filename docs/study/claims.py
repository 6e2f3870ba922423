#!/usr/bin/env python3
"""A table of README.md's claims out of the results of study.sh: `claims.py OUT ROUND`, one of random, hairpins, capped, everything, turns; parts that are not there are left out."""

import csv
import os
import sys

CLAIMS = {
    "random": [
        (1, "rna-redundant", "top-k", "random-", "worse"),
        (2, "rna-redundant", "balanced", "random-", "better"),
        (3, "rna-redundant", "balanced", "-capped", "better"),
        (4, "rna-redundant", "balanced", "composition-of-balanced", "better"),
        (5, "rna", "balanced", "-capped", "better"),
        (6, "protein", "balanced", "-capped", "better"),
    ],
    "hairpins": [
        (7, "rna-redundant", "top-k", "random-", "worse"),
        (8, "rna-redundant", "balanced", "random-", "better"),
        (9, "rna-redundant", "balanced", "-capped", "better"),
        (10, "rna", "balanced", "-capped", "better"),
        (11, "rna-redundant", "coverage", "random-", "no difference"),
    ],
    "capped": [
        (12, "rna-redundant", "coverage-capped", "-capped", "better"),
        (13, "rna", "coverage-capped", "-capped", "better"),
        (14, "protein", "coverage-capped", "-capped", "better"),
    ],
    "everything": [
        (15, "rna", "balanced", "everything", "better"),
        (16, "rna", "balanced", "random-", "better"),
        (17, "protein", "balanced", "everything", "better"),
    ],
    "turns": [
        (18, "rna-redundant-turns", "balanced@1%", "random-", "better"),
        (19, "rna-redundant-turns", "balanced@1%", "-capped", "no difference"),
        (20, "rna-redundant-turns", "balanced@10%", "-capped", "no difference"),
        (21, "rna-turns", "balanced", "everything", "better"),
        (22, "protein-budgets", "balanced@1%", "-capped", "better"),
        (23, "protein-budgets", "balanced@30%", "-capped", "better"),
    ],
}


def control_is(name, wanted):
    """Whether a control's name is of the wanted kind: `random-6621`, `random-6621-capped`, `composition-of-balanced`."""
    if wanted == "random-":
        return name.startswith(wanted) and name[len(wanted) :].isdigit()
    return name == wanted or wanted.startswith("-") and name.startswith("random-") and name.endswith(wanted)


def main():
    print("| | part | condition | control | expected | difference, 1e-3 nats | bootstrap, 95 % | t, 95 % | seeds better | verdict |")
    print("|---|---|---|---|---|---:|---|---|---|---|")
    out, round_ = sys.argv[1:]
    for number, part, condition, control, expected in CLAIMS[round_]:
        path = os.path.join(out, part, "comparisons.tsv")
        if not os.path.exists(path):
            continue
        with open(path) as file:
            for row in csv.DictReader(file, delimiter="\t"):
                of_claim = row["held_out"] == "new-groups" and row["average"] == "group"
                if of_claim and row["condition"] == condition and control_is(row["control"], control):
                    mean, low, high, half = (
                        1e3 * float(row[name]) for name in ("difference", "low", "high", "t_half_width")
                    )
                    cells = [number, part, condition, row["control"], expected, f"{mean:+.1f}", f"{low:+.1f} to {high:+.1f}"]
                    cells += [f"± {half:.1f}", f"{row['seeds_better']} of {row['seeds']}", row["verdict"].replace("-", " ")]
                    print("| " + " | ".join(map(str, cells)) + " |")


main()
