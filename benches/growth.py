#!/usr/bin/env python3
"""Time and memory of a whole prune against the number of records, as a table and a plot.

    benches/growth.py BIOPRUNE --records 1000 10000 100000 1000000 -o docs/images/growth.svg

Records are made at random, 20 to 40 nucleotides each, so that a million of them end within minutes. Processor time is what
is plotted: it says how the work grows whatever else the machine does.
"""

import argparse
import math
import os
import random
import tempfile

from peers.measure import measured

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, GAP = 720, 300, 70, 50, 30, 90


def write_fasta(path, records):
    """The same file for the same number, of any number the beginning of a larger one."""
    draw = random.Random(1)
    with open(path, "w") as file:
        for number in range(records):
            file.write(f">r{number}\n{''.join(draw.choices('ACGU', k=draw.randint(20, 40)))}\n")


def prune(program, fasta, folder):
    """Seconds of wall and processor time, and the peak in MiB."""
    command = [program, "prune", fasta, "--keep", "10%", "--mask-passes", "1", "--model", "rna-nano"]
    return measured([*command, "-o", os.path.join(folder, "out"), "--quiet"])


def slope(rows):
    """The exponent of processor time against records, between the last two numbers."""
    (before, _, early, _), (after, _, late, _) = rows[-2:]
    return math.log(late / early) / math.log(after / before)


def panel(rows, column, name, left):
    """One chart with both axes logarithmic."""
    values = [row[column] for row in rows]
    x0, x1 = math.log10(rows[0][0]), math.log10(rows[-1][0])
    y0, y1 = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values) * 1.01))
    width, height = (WIDTH - 2 * LEFT - GAP) / 2, HEIGHT - TOP - BOTTOM
    at_x = lambda records: left + (math.log10(records) - x0) / (x1 - x0) * width
    at_y = lambda value: TOP + (y1 - math.log10(value)) / (y1 - y0) * height
    parts = [f'<text x="{left}" y="{TOP - 12}">{name}</text>']
    for exponent in range(y0, y1 + 1):
        y = at_y(10**exponent)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}h{width:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**exponent:g}</text>')
    for row in rows:
        x, y = at_x(row[0]), at_y(row[column])
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{row[0]:,}</text>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{row[column]:.1f}</title></circle>')
    line = " ".join(f"{at_x(row[0]):.1f},{at_y(row[column]):.1f}" for row in rows)
    parts.append(f'<polyline points="{line}"/>')
    parts.append(f'<text class="tick" x="{left + width / 2:.1f}" y="{HEIGHT - 10}" text-anchor="middle">records</text>')
    return parts


def plot(rows):
    style = (
        "text{font:14px sans-serif}.tick{font-size:11px;fill:#555}.grid{stroke:#ddd}"
        "polyline{fill:none;stroke:#1b6ca8;stroke-width:2}circle{fill:#1b6ca8}"
    )
    parts = panel(rows, 2, "Processor time, seconds", LEFT)
    parts += panel(rows, 3, "Peak memory, MiB", LEFT + (WIDTH - 2 * LEFT - GAP) / 2 + GAP)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    title = "<title>Processor time and peak memory of a prune against the number of records</title>"
    ground = '<rect width="100%" height="100%" fill="#fff"/>'
    return "\n".join([head, title, f"<style>{style}</style>", ground, *parts, "</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--records", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("-o", "--output", help="an SVG file")
    options = parser.parse_args()
    rows = []
    print(f"{'records':>10}{'wall s':>10}{'proc. s':>10}{'peak MiB':>10}")
    for records in sorted(options.records):
        with tempfile.TemporaryDirectory() as folder:
            fasta = os.path.join(folder, "made.fa")
            write_fasta(fasta, records)
            rows.append((records, *prune(os.path.abspath(options.program), fasta, folder)))
        print("{:>10}{:>10.1f}{:>10.1f}{:>10.0f}".format(*rows[-1]), flush=True)
    if len(rows) > 1:
        print(f"processor time grows as records to the power {slope(rows):.2f} between the last two")
    if options.output:
        with open(options.output, "w") as file:
            file.write(plot(rows))


if __name__ == "__main__":
    main()
