#!/usr/bin/env python3
"""A plot of the loss on new groups against the budget, out of evaluations with several budgets and `everything` as a control.

    budgets.py "RNA=OUT/rna-redundant-turns" "Proteins=OUT/protein-budgets" -o docs/images/budgets.svg

Points are means over the seeds, bars reach from the least to the greatest of them.
"""

import argparse
import csv
import math
import os
import re
from collections import defaultdict

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, GAP = 760, 340, 60, 90, 40, 80
PLOT = (WIDTH - LEFT - GAP - 20) / 2
KINDS = {"random": "#8a8a8a", "random under the cap": "#d98a1f", "balanced": "#1b6ca8"}
STYLE = (
    "text{font:14px sans-serif}.tick{font-size:11px;fill:#555}.grid{stroke:#ddd}"
    "polyline{fill:none;stroke-width:2}.bar{stroke-width:1.5}"
)


def kind_of(name):
    """What a condition is drawn as; none where it is not."""
    if re.fullmatch(r"random-\d+|everything", name):
        return "random"
    if re.fullmatch(r"random-\d+-capped", name):
        return "random under the cap"
    return "balanced" if re.fullmatch(r"balanced(@.*)?", name) else None


def read(folder):
    """{kind: [(share of the records, losses)]}, by share."""
    losses, pool = defaultdict(lambda: defaultdict(list)), 0
    with open(os.path.join(folder, "losses.tsv")) as file:
        for row in csv.DictReader(file, delimiter="\t"):
            records, kind = int(row["records"]), kind_of(row["condition"])
            pool = max(pool, records if row["condition"] == "everything" else 0)
            if kind:
                losses[kind][records].append(float(row["new_by_group"]))
    if not pool:
        raise SystemExit(f"{folder}: no condition `everything`, which says how many records there are")
    return {kind: [(records / pool, losses[kind][records]) for records in sorted(losses[kind])] for kind in losses}


def ticks(low, high):
    """Round values from below `low` to above `high`, three to eight of them."""
    step = next(s for s in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1.0) if (high - low) / s <= 6)
    return [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]


def panel(title, lines, left):
    every = [loss for points in lines.values() for _, losses in points for loss in losses]
    least = min(share for points in lines.values() for share, _ in points)
    marks = ticks(min(every), max(every))
    height = HEIGHT - TOP - BOTTOM
    at_x = lambda share: left + (1 - math.log(share) / math.log(least)) * PLOT
    at_y = lambda loss: TOP + (marks[-1] - loss) / (marks[-1] - marks[0]) * height
    parts = [f'<text x="{left}" y="{TOP - 16}">{title}</text>']
    for mark in marks:
        parts.append(f'<path class="grid" d="M{left} {at_y(mark):.1f}h{PLOT:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 6}" y="{at_y(mark) + 4:.1f}" text-anchor="end">{mark:.3f}</text>')
    for share in sorted({round(share, 2) for points in lines.values() for share, _ in points}):
        parts.append(
            f'<text class="tick" x="{at_x(share):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{share:.0%}</text>'
        )
    for kind, colour in KINDS.items():
        line = []
        for share, losses in lines.get(kind, []):
            x, y = at_x(share), at_y(sum(losses) / len(losses))
            line.append(f"{x:.1f},{y:.1f}")
            bar = f"M{x:.1f} {at_y(min(losses)):.1f}V{at_y(max(losses)):.1f}"
            parts.append(f'<path class="bar" stroke="{colour}" d="{bar}"/>')
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
        parts.append(f'<polyline stroke="{colour}" points="{" ".join(line)}"/>')
    middle = left + PLOT / 2
    parts.append(f'<text class="tick" x="{middle:.1f}" y="{HEIGHT - BOTTOM + 36}" text-anchor="middle">share of the records</text>')
    return parts


def legend():
    parts, x = [], LEFT
    for kind, colour in KINDS.items():
        parts.append(f'<path class="bar" stroke="{colour}" d="M{x} {HEIGHT - 20}h24"/>')
        parts.append(f'<circle cx="{x + 12}" cy="{HEIGHT - 20}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 30}" y="{HEIGHT - 15}">{kind}</text>')
        x += 60 + 8 * len(kind)
    return parts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panels", nargs=2, metavar="TITLE=FOLDER")
    parser.add_argument("-o", "--output", required=True, help="an SVG file")
    options = parser.parse_args()
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    title = "<title>Loss on new groups against the budget</title>"
    parts = [head, title, f"<style>{STYLE}</style>", '<rect width="100%" height="100%" fill="#fff"/>']
    for place, given in enumerate(options.panels):
        name, _, folder = given.partition("=")
        parts += panel(f"{name}: loss, nats", read(folder), LEFT + place * (PLOT + GAP))
    with open(options.output, "w") as file:
        file.write("\n".join([*parts, *legend(), "</svg>"]) + "\n")


if __name__ == "__main__":
    main()
