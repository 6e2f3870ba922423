"""Wall time, processor time and peak memory of a command, and tables of them."""

import os
import statistics
import subprocess
import sys
import time


def measured(command, stdout=subprocess.DEVNULL, **options):
    """`(wall seconds, processor seconds, peak MiB)` of a command, or a shell's line, that must end well."""
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=stdout, shell=isinstance(command, str), **options)
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    if status != 0:
        sys.exit(f"{command} ended with status {os.waitstatus_to_exitcode(status)}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def interleaved(contestants, rounds):
    """Rows of `(name, wall, processor, peak)`, medians, of commands that take turns."""
    taken = {name: [] for name in contestants}
    for number in range(rounds):
        names = list(contestants)
        for name in names if number % 2 == 0 else reversed(names):
            taken[name].append(measured(contestants[name]))
    return [(name, *map(statistics.median, zip(*runs))) for name, runs in taken.items()]


def table(title, rows, ours="bioprune"):
    """Prints rows, each with its wall and processor time as a multiple of our own."""
    _, wall, processor, _ = next(row for row in rows if row[0] == ours)
    print(f"\n{title}\n\n| program | wall, of ours | processor, of ours | wall, s | processor, s | peak, MiB |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, *row in rows:
        ratios = f"{row[0] / wall:.2f} | {row[1] / processor:.2f}"
        print(f"| {name} | {ratios} | {row[0]:.2f} | {row[1]:.2f} | {row[2]:.0f} |")
    sys.stdout.flush()
