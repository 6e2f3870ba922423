"""Snakemake wrapper for `bioprune merge`."""

__author__ = "The bioprune authors"
__copyright__ = "Copyright 2026, The bioprune authors"
__license__ = "MIT OR Apache-2.0"

from snakemake.shell import shell

log = snakemake.log_fmt_shell(stdout=True, stderr=True)
extra = snakemake.params.get("extra", "")

shell("bioprune merge {snakemake.input} {extra} --output {snakemake.output[0]} {log}")
