#!/usr/bin/env bash
# Lints the Nextflow modules with nf-core's own tools, without a network: nf_core_lint.sh [OPTION of `nf-core modules lint`]...
# `nf-core` (tested with 4.2.1) and `nextflow` must be on PATH. Takes about half a minute for each module.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The layout of a repository of modules, as the linter knows it.
repository=$scratch/repository
mkdir -p "$repository/modules/bioprune" "$repository/tests/config"
cp -r "$root/nextflow/modules/bioprune" "$repository/modules/bioprune/bioprune"
printf 'repository_type: modules\norg_path: bioprune\n' > "$repository/.nf-core.yml"

# The linter clones nf-core/modules for two schemas of YAML files; this stands in for it and allows everything, so the
# two checks that use them say nothing.
stand_in=$scratch/stand-in
mkdir -p "$stand_in/modules" "$scratch/home"
printf 'repository_type: modules\norg_path: nf-core\n' > "$stand_in/.nf-core.yml"
echo '{}' | tee "$stand_in/modules/meta-schema.json" > "$stand_in/modules/environment-schema.json"
git -C "$stand_in" init -q -b master
git -C "$stand_in" add -A
git -C "$stand_in" -c user.name=lint -c user.email=lint@localhost commit -qm 'Schemas that allow everything'

cd "$repository"
HOME=$scratch/home XDG_CONFIG_HOME=$scratch/home/config XDG_CACHE_HOME=$scratch/home/cache HIDE_PROGRESS=1 \
GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.$stand_in.insteadOf" GIT_CONFIG_VALUE_0=https://github.com/nf-core/modules.git \
  nf-core --hide-progress modules lint --all --plain-text "$@"
