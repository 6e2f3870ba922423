#!/usr/bin/env bash
# Builds the images with buildah: labels with the version of Cargo.toml and the commit, times of the commit, a list of what
# the program is made of beside them.
#
#   containers/build.sh [--cuda] [--program FILE] [--sbom FILE] [OPTION of `buildah bud`]...
#
# --program takes a program that is built already, else the build compiles it; --sbom writes a bill of materials (CycloneDX;
# needs Python's cyclonedx-python-lib). Tags: bioprune/bioprune:VERSION (step) and bioprune/service:VERSION; with --cuda
# bioprune/bioprune-cuda:VERSION and bioprune/service-cuda:VERSION.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
program='' sbom='' features='' suffix=''
while [ $# -gt 0 ]; do
  case $1 in
    --cuda) features=cuda suffix=-cuda; shift ;;
    --program) program=$(realpath "$2"); shift 2 ;;
    --sbom) sbom=$2; shift 2 ;;
    --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit ;;
    *) break ;;
  esac
done

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
# a tree that git does not know has neither revision nor times
revision=$(git -C "$root" rev-parse HEAD 2> /dev/null || echo unknown)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2> /dev/null || echo 0)}
export SOURCE_DATE_EPOCH

# PROGRAM is always named: this buildah (1.28) orders stages by what is given, not by the default
options=(--build-arg PROGRAM=source)
if [ -n "$program" ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  install -m 0755 --strip "$program" "$folder/bioprune"
  options=(--build-arg PROGRAM=given --build-context "program=$folder")
fi
# build FILE TARGET NAME OPTION...
build() {
  buildah bud --layers --format docker --timestamp "$SOURCE_DATE_EPOCH" --target "$2" --tag "bioprune/$3:$version" "${@:4}" \
    -f "$root/containers/$1" "$root"
}
if [ -n "$features" ]; then
  build Containerfile.cuda base cuda-base "$@"
  options+=(--build-arg "BASE=bioprune/cuda-base:$version")
  if [ -z "$program" ]; then
    build Containerfile.cuda rust cuda-rust "$@"
    options+=(--build-arg "RUST=bioprune/cuda-rust:$version" --build-arg "FEATURES=$features")
  fi
fi
for target in step service; do
  name=bioprune
  [ $target = step ] || name=$target
  build Containerfile $target "$name$suffix" --build-arg VERSION="$version" --build-arg REVISION="$revision" \
    --build-arg SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" "$@" "${options[@]}"
done
if [ -n "$sbom" ]; then
  python3 "$root/containers/sbom.py" "$root" --features "$features" > "$sbom"
fi
