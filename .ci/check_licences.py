#!/usr/bin/env python3
"""Checks that each dependency is under a licence that deny.toml allows. cargo-deny does the same where it is installed."""

import json
import pathlib
import re
import subprocess
import sys
import tomllib


def allowed(expression, licences):
    """Whether an SPDX expression can be met with the licences alone."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def alternatives():
        met = terms()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            met = terms() or met
        return met

    def terms():
        met = term()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = term() and met
        return met

    def term():
        token = tokens.pop(0)
        if token == "(":
            met = alternatives()
            tokens.pop(0)
            return met
        if tokens and tokens[0] == "WITH":
            token = " ".join([token, tokens.pop(0), tokens.pop(0)])
        return token in licences

    return alternatives()


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    licences = set(tomllib.loads((root / "deny.toml").read_text())["licenses"]["allow"])
    metadata = subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version=1"], cwd=root, check=True, stdout=subprocess.PIPE
    )
    packages = [package for package in json.loads(metadata.stdout)["packages"] if package["source"]]
    refused = [p for p in packages if not (p["license"] and allowed(p["license"], licences))]
    for package in refused:
        print(f"{package['name']} {package['version']}: {package['license'] or 'no licence named'}", file=sys.stderr)
    if refused:
        sys.exit(f"deny.toml allows {', '.join(sorted(licences))}")
    print(f"{len(packages)} dependencies, all under licences that deny.toml allows")


if __name__ == "__main__":
    main()
