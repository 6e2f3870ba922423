#!/usr/bin/env python3
"""Checks what `bioprune prune` left, with nothing of bioprune: check_coreset.py INPUT.fa.gz OUTPUT_DIR SHARE."""

import csv
import gzip
import hashlib
import json
import pathlib
import sys

FILES = {"selected.tsv", "confounds.tsv", "coreset.fa.gz", "scores.parquet", "curvature.safetensors", "report.html"}


def records(path):
    """The records of a FASTA file as they stand there, byte for byte."""
    with gzip.open(path, "rb") as file:
        return [b">" + record for record in file.read().split(b">")[1:]]


def main(source, output, share):
    output = pathlib.Path(output)
    manifest = json.loads((output / "manifest.json").read_text())

    listed = {pathlib.PurePosixPath(entry["uri"]).name: entry for entry in manifest["outputs"]}
    assert set(listed) == FILES, f"manifest.json lists {sorted(listed)}"
    for name, entry in listed.items():
        content = (output / name).read_bytes()
        assert len(content) == entry["size"], f"{name}: {len(content)} bytes, manifest.json says {entry['size']}"
        digest = hashlib.sha256(content).hexdigest()
        assert digest == entry["sha256"], f"{name}: SHA-256 {digest}, manifest.json says {entry['sha256']}"

    pool, coreset = records(source), records(output / "coreset.fa.gz")
    expected = round(share * len(pool))
    assert len(coreset) == expected, f"{len(coreset)} records kept of {len(pool)}, not {expected}"
    remaining = iter(pool)
    assert all(record in remaining for record in coreset), "the coreset is not a part of the input in its order"

    with open(output / "selected.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    ids = [record[1:].split(None, 1)[0].decode() for record in coreset]
    assert [row["id"] for row in rows] == ids, "selected.tsv and coreset.fa.gz list other records"

    selection = manifest["selection"]
    assert (selection["pool"]["records"], selection["kept"]["records"]) == (len(pool), expected), selection
    page = (output / "report.html").read_text()
    assert page.startswith("<!doctype html>") and "<svg" in page, "report.html has no plots"
    summary = json.loads((output / "summary.json").read_text())
    assert summary["select"]["kept"] == expected, summary
    print(f"{expected} of {len(pool)} records kept; {len(listed)} files have the digests of manifest.json")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
