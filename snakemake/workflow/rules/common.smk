# The sets, the options of each step, and what all steps share.
import csv
import os

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

validate(config, schema="../schemas/config.schema.yaml")


def read_sets(table):
    """Files of each sample in the order of the rows, and its tables of groups."""
    sets, groups = {}, {}
    with open(table, newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            validate(row, schema="../schemas/samples.schema.yaml")
            sets.setdefault(row["sample"], []).append(located(row["sequences"]))
            if row.get("groups"):
                groups.setdefault(row["sample"], set()).add(row["groups"])
    for sample, tables in groups.items():
        if len(tables) > 1:
            raise WorkflowError(
                f"{table}: sample {sample} has several tables of groups: {', '.join(sorted(tables))}"
            )
    return sets, {sample: located(tables.pop()) for sample, tables in groups.items()}


def located(name):
    """URIs go through the storage plugin of their scheme."""
    return storage(name) if "://" in name else name


SETS, GROUPS = read_sets(config["samples"])

OBJECTIVE = "--objective {objective} --mask-passes {mask_passes} --seed {seed}".format(
    **config
)
SAMPLE = "--sample {sample}".format(**config)
SCORE = "--estimator {estimator} --damping {damping}".format(**config)
STRATEGY = "--strategy {strategy}".format(**config)
if config["cap_per_group"]:
    STRATEGY += " --cap-per-group {cap_per_group}".format(**config)
MODEL = [config["model"]] if config["model"] else []
SOCKET = "results/bioprune.sock"
SERVER = ["results/bioprune.ready"] if config["service"] else []

if SERVER and config["shards"] > 1:
    raise WorkflowError(
        "service: one service does whole sets; shards are for many machines. Set one of both."
    )


wildcard_constraints:
    sample="[A-Za-z0-9][A-Za-z0-9_.-]*",


def sequences(wildcards):
    return SETS[wildcards.sample]


def groups(wildcards):
    """The table of a clusterer, for a set that has one."""
    return GROUPS.get(wildcards.sample, [])


def groups_option(wildcards, input):
    return f"--groups {input.groups}" if input.groups else ""


def model(wildcards, input):
    return f"--model {input.model}" if input.model else ""


def placement(wildcards, input, threads, resources):
    """Where a job computes. A service, of this workflow or of the environment, has a device and threads of its own."""
    if input.get("server"):
        return f"--server unix://$PWD/{SOCKET}"
    if os.environ.get("BIOPRUNE_SERVER"):
        return ""
    device = "cuda" if resources.get("gpu", 0) else "cpu"
    return f"--device {device} --threads {threads}"


def shard(wildcards):
    """`3-of-8` of Snakemake is `3/8` of bioprune."""
    return wildcards.scatteritem.replace("-of-", "/")
