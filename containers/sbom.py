"""Prints a bill of materials (CycloneDX 1.6, JSON) of the program: sbom.py ROOT [--features cuda] [--validate]

Every crate that is linked into the program on x86-64 Linux, with version, licence, checksum and what depends on what; those
that only tests, benchmarks or build scripts use are left out. What the images hold besides are packages of Debian, which
their own database lists. Needs cyclonedx-python-lib; --validate also its extra json-validation.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tomllib
import uuid
from datetime import datetime, timezone

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

PLATFORM = "x86_64-unknown-linux-gnu"


def linked(metadata):
    """The packages that are linked into the root package, and of each the ids that it links."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    links, waiting = {}, [metadata["resolve"]["root"]]
    while waiting:
        package = waiting.pop()
        if package not in links:
            dependencies = nodes[package]["deps"]
            links[package] = [
                dependency["pkg"] for dependency in dependencies if any(kind["kind"] is None for kind in dependency["dep_kinds"])
            ]
            waiting += links[package]
    return links


def component(package, checksums, root):
    name, version = package["name"], package["version"]
    licence = package["license"]
    checksum = checksums.get((name, version))
    return Component(
        type=ComponentType.APPLICATION if root else ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"{name}@{version}",
        description=package["description"],
        purl=PackageURL("cargo", None, name, version),
        # older crates write MIT/Apache-2.0
        licenses=[LicenseFactory().make_from_string(licence.replace("/", " OR "))] if licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
    )


def bill(root, features):
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM, "--features", features]
    metadata = json.loads(subprocess.run(command, cwd=root, check=True, capture_output=True).stdout)
    lock = tomllib.loads((root / "Cargo.lock").read_text())
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}
    links = linked(metadata)
    top = metadata["resolve"]["root"]
    parts = {
        package["id"]: component(package, checksums, package["id"] == top)
        for package in metadata["packages"]
        if package["id"] in links
    }
    bom = Bom(components=[part for package, part in parts.items() if package != top])
    bom.metadata.component = parts[top]
    # the same commit gives the same bytes
    moment = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", 0)), timezone.utc)
    bom.metadata.timestamp = moment
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(sorted(part.bom_ref.value for part in parts.values())))
    for package, dependencies in links.items():
        bom.register_dependency(parts[package], [parts[dependency] for dependency in dependencies])
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--features", default="")
    parser.add_argument("--validate", action="store_true")
    options = parser.parse_args()
    text = bill(options.root, options.features)
    if options.validate:
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        if error:
            sys.exit(f"not a valid bill of materials: {error}")
    print(text)


main()
