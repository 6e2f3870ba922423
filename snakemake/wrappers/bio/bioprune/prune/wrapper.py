"""Snakemake wrapper for `bioprune prune`."""

__author__ = "The bioprune authors"
__copyright__ = "Copyright 2026, The bioprune authors"
__license__ = "MIT OR Apache-2.0"

import os

from snakemake.shell import shell

log = snakemake.log_fmt_shell(stdout=True, stderr=True)
extra = snakemake.params.get("extra", "")
sequences = snakemake.input.sequences

# a service, if one is named, has a device and threads of its own
device = "cuda" if snakemake.resources.get("gpu", 0) else "cpu"
placement = f"--device {device} --threads {snakemake.threads}"
if os.environ.get("BIOPRUNE_SERVER"):
    placement = ""

model = snakemake.input.get("model", "")
model = f"--model {model}" if model else ""

groups = snakemake.input.get("groups", "")
groups = f"--groups {groups}" if groups else ""

# the files of one folder, under the names that bioprune gives them
names = {
    "coreset.fa.gz",
    "selected.tsv",
    "confounds.tsv",
    "scores.parquet",
    "curvature.safetensors",
    "report.html",
    "manifest.json",
}
folders = {os.path.dirname(path) for path in snakemake.output}
for path in snakemake.output:
    if os.path.basename(path) not in names:
        raise ValueError(f"{path}: bioprune prune writes {', '.join(sorted(names))}")
if len(folders) != 1:
    raise ValueError(
        f"outputs of bioprune prune lie in one folder, not in {len(folders)}"
    )
folder = folders.pop() or "."

shell(
    "bioprune prune {sequences} --keep {snakemake.params.keep} {model}"
    " {placement} {groups} {extra} --output {folder} {log}"
)
