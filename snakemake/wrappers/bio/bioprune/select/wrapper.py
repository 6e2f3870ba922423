"""Snakemake wrapper for `bioprune select`."""

__author__ = "The bioprune authors"
__copyright__ = "Copyright 2026, The bioprune authors"
__license__ = "MIT OR Apache-2.0"

import os

from snakemake.shell import shell

log = snakemake.log_fmt_shell(stdout=True, stderr=True)
extra = snakemake.params.get("extra", "")
matched = snakemake.input.get("matched", "")
matched = f"--match {matched}" if matched else ""

groups = snakemake.input.get("groups", "")
groups = f"--groups {groups}" if groups else ""

# the files of one folder, under the names that bioprune gives them
names = {
    "coreset.fa.gz",
    "selected.tsv",
    "confounds.tsv",
    "report.html",
    "manifest.json",
}
folders = {os.path.dirname(path) for path in snakemake.output}
for path in snakemake.output:
    if os.path.basename(path) not in names:
        raise ValueError(f"{path}: bioprune select writes {', '.join(sorted(names))}")
if len(folders) != 1:
    raise ValueError(
        f"outputs of bioprune select lie in one folder, not in {len(folders)}"
    )
folder = folders.pop() or "."

shell(
    "bioprune select {snakemake.input.scores} --sequences {snakemake.input.sequences}"
    " --keep {snakemake.params.keep} {matched} {groups} {extra} --output {folder} {log}"
)
