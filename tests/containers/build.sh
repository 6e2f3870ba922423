# The build: both targets, their size, their labels, the same image from the same commit. Sourced by run.sh.
# shellcheck shell=bash

# The most that an image may add to its base, in MB.
most=60

images_are_built() {
  "$root/containers/build.sh" --program "$program" "${build_options[@]}"
}

size() {
  podman image inspect --format '{{.Size}}' "$1"
}

sizes() {
  local image added
  for image in "$step" "$service"; do
    added=$((($(size "$image") - $(size debian:bookworm-slim)) / 1000000))
    echo "$image: $added MB beside its base"
    test $added -lt $most
  done
}

labels() {
  local image revision time
  revision=$(git -C "$root" rev-parse HEAD || echo unknown)
  time=$(git -C "$root" log -1 --format=%ct || echo 0)
  for image in "$step" "$service"; do
    label() { podman image inspect --format "{{index .Labels \"org.opencontainers.image.$1\"}}" "$image"; }
    test "$(label version)" = "$version"
    test "$(label revision)" = "$revision"
    test "$(label licenses)" = 'MIT OR Apache-2.0'
    test "$(podman image inspect --format '{{.Created.Unix}}' "$image")" = "$time"
  done
}

# Packages of Debian are fetched again: only their own change may change a layer. (History names images of this machine.)
same_layers_from_the_same_commit() {
  local first again
  first=$(podman image inspect --format '{{.RootFS.Layers}}' "$step" "$service")
  "$root/containers/build.sh" --program "$program" "${build_options[@]}" --no-cache
  again=$(podman image inspect --format '{{.RootFS.Layers}}' "$step" "$service")
  printf '%s\n' "$first" "$again"
  test "$first" = "$again"
}

bill_of_materials() {
  local venv=$tools/sbom
  if [ ! -f "$venv/complete" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'cyclonedx-python-lib[json-validation]==11.12.0'
    touch "$venv/complete"
  fi
  "$venv/bin/python" "$root/containers/sbom.py" "$root" --validate > "$work/bioprune.cdx.json"
  "$venv/bin/python" "$root/containers/sbom.py" "$root" --features cuda > "$work/cuda.cdx.json"
  python3 - "$version" "$work/bioprune.cdx.json" "$work/cuda.cdx.json" << 'PYTHON'
import json, sys
bill, with_cuda = (json.load(open(name)) for name in sys.argv[2:])
program = bill["metadata"]["component"]
assert (program["name"], program["version"]) == ("bioprune", sys.argv[1]), program
parts = {part["name"]: part for part in bill["components"]}
assert {part["name"] for part in with_cuda["components"]} - parts.keys() >= {"cudarc", "candle-kernels"}
# what computes, reads and serves is there; what only tests use is not
assert {"candle-core", "parquet", "actix-web", "object_store"} <= parts.keys()
assert not {"proptest", "divan", "assert_cmd"} & parts.keys()
assert all(part["licenses"] and part["hashes"] for part in parts.values()), "a crate without licence or checksum"
PYTHON
}

check 'both images are built' images_are_built
check 'each adds less than 60 MB to its base' sizes
check 'labels tell version, revision and licence' labels
check 'the same commit gives the same layers' same_layers_from_the_same_commit
check 'the bill of materials names what is linked' bill_of_materials
