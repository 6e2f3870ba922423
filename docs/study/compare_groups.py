#!/usr/bin/env python3
"""How well one grouping of records agrees with another: precision and recall over pairs and over records (B-cubed).

    compare_groups.py FOUND REFERENCE...

FOUND is a `selected.tsv` of a `bioprune select --keep 100% --groups near`, or a table of id and group; so is each
REFERENCE (MMseqs2's `*_cluster.tsv` too, whose columns are group and id: append `:2,1`). Append `:COLUMN,COLUMN` to name or
number other columns of id and group. Prints a line of tab-separated numbers for each reference.
"""

import csv
import gzip
import sys
from collections import Counter


def groups(argument):
    """The group of each id; a record without one is its own."""
    path, _, columns = argument.partition(":")
    with (gzip.open if path.endswith(".gz") else open)(path, "rt") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    head = rows[0]
    if not columns:
        columns = "id,group" if "id" in head and "group" in head else "1,2"
    id_column, group_column = (
        int(name) - 1 if name.isdigit() else head.index(name) for name in columns.split(",")
    )
    named = not all(name.isdigit() for name in columns.split(","))
    found = {}
    for row in rows[named:]:
        group = row[group_column]
        found[row[id_column]] = ("alone", row[id_column]) if group in ("-", "") else ("group", group)
    return found


def agreement(found, reference):
    """Over the ids of both: groups' sizes, and precision and recall by pairs and by records."""
    ids = found.keys() & reference.keys()
    of_found = Counter(found[name] for name in ids)
    of_reference = Counter(reference[name] for name in ids)
    both = Counter((found[name], reference[name]) for name in ids)

    def pairs(counts):
        return sum(n * (n - 1) // 2 for n in counts.values())

    shared = pairs(both)
    by_record = [
        sum(n * n / sizes[key[side]] for key, n in both.items()) / len(ids)
        for side, sizes in ((0, of_found), (1, of_reference))
    ]
    return {
        "records": len(ids),
        "found_grouped": sum(n for n in of_found.values() if n > 1),
        "reference_grouped": sum(n for n in of_reference.values() if n > 1),
        "largest_found": max(of_found.values()),
        "largest_reference": max(of_reference.values()),
        "pair_precision": round(shared / max(pairs(of_found), 1), 4),
        "pair_recall": round(shared / max(pairs(of_reference), 1), 4),
        "record_precision": round(by_record[0], 4),
        "record_recall": round(by_record[1], 4),
    }


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    found = groups(sys.argv[1])
    for number, argument in enumerate(sys.argv[2:]):
        measured = agreement(found, groups(argument))
        if number == 0:
            print("reference", *measured, sep="\t")
        print(argument, *measured.values(), sep="\t")


if __name__ == "__main__":
    main()
