"""Snakemake wrapper for `bioprune score`."""

__author__ = "The bioprune authors"
__copyright__ = "Copyright 2026, The bioprune authors"
__license__ = "MIT OR Apache-2.0"

import os

from snakemake.shell import shell

log = snakemake.log_fmt_shell(stdout=True, stderr=True)
extra = snakemake.params.get("extra", "")
sequences = snakemake.input.sequences
curvature = snakemake.input.get("curvature", "")
curvature = f"--curvature {curvature}" if curvature else ""

# a service, if one is named, has a device and threads of its own
device = "cuda" if snakemake.resources.get("gpu", 0) else "cpu"
placement = f"--device {device} --threads {snakemake.threads}"
if os.environ.get("BIOPRUNE_SERVER"):
    placement = ""

model = snakemake.input.get("model", "")
model = f"--model {model}" if model else ""
shard = snakemake.params.get("shard", "")
shard = f"--shard {shard}" if shard else ""

shell(
    "bioprune score {sequences} {curvature} {shard} {model}"
    " {placement} {extra} --output {snakemake.output[0]} {log}"
)
