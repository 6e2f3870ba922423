# The tarball and the Debian package, in a Debian that has neither; the recipe for conda. Sourced by run.sh.
# shellcheck shell=bash

packages_are_made() {
  "$root/packaging/package.sh" "$program" "$work/dist"
  mv "$work/dist" "$work/first"
  "$root/packaging/package.sh" "$program" "$work/dist"
  diff -r "$work/first" "$work/dist"
}

debian_package_works() {
  in_step debian:bookworm-slim bash -c '
    set -e
    dpkg --install dist/*.deb
    bioprune prune set.fa "$@" -o debian
    # (this Debian leaves manual pages out)
    dpkg --listfiles bioprune | grep -x /usr/share/man/man1/bioprune-prune.1.gz
    bash -c "source /usr/share/bash-completion/completions/bioprune && complete -p bioprune"
    dpkg --remove bioprune
    test ! -e /usr/bin/bioprune' bash "${job[@]}"
  same_coreset "$work/debian"
}

tarball_works() {
  in_step debian:bookworm-slim bash -c '
    set -e
    tar -C /opt -xzf dist/*.tar.gz
    /opt/bioprune-*/bin/bioprune prune set.fa "$@" -o tarball
    gzip -t /opt/bioprune-*/share/man/man1/bioprune.1.gz' bash "${job[@]}"
  same_coreset "$work/tarball"
}

# The recipe as conda-build would render it: versions, files, and its test commands on the program.
conda_recipe_suits() {
  local folder=$root/packaging/conda
  bash -n "$folder/build.sh"
  mkdir -p "$work/on_path"
  ln -sf "$program" "$work/on_path/bioprune"
  "$tools/manifests/bin/python" - "$folder/meta.yaml" "$root" > "$work/commands" << 'PYTHON'
import pathlib, sys, tomllib
import jinja2, yaml
recipe, root = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
text = jinja2.Template(recipe.read_text(), undefined=jinja2.StrictUndefined).render(
    compiler="{}_compiler".format, pin_subpackage=lambda name, max_pin: name)
meta = yaml.safe_load(text)
package = tomllib.loads((root / "Cargo.toml").read_text())["package"]
assert meta["package"] == {"name": package["name"], "version": package["version"]}, meta["package"]
assert (recipe.parent / meta["source"]["path"]).resolve() == root.resolve()
about = meta["about"]
assert (about["license"], about["summary"]) == (package["license"], package["description"]), about
rust, = [need for need in meta["requirements"]["build"] if need.startswith("rust_compiler")]
assert rust == f"rust_compiler >={package['rust-version']}", rust
# the last file is written by build.sh
assert all((root / name).is_file() for name in about["license_file"][:-1])
print(*meta["test"]["commands"], sep="\n")
PYTHON
  test "$(wc -l < "$work/commands")" -ge 3
  PATH=$work/on_path:$PATH bash -euxo pipefail "$work/commands"
}

# Every image and package that anything here names is of this version.
one_version_everywhere() {
  (cd "$root" && grep -rhoE '\b(bioprune/[a-z-]+:|bioprune =)[0-9][0-9.]*[0-9]' containers nextflow snakemake) |
    sed 's/.*[:=]//' | sort -u > "$work/versions"
  test "$(cat "$work/versions")" = "$version"
}

check 'packages: a tarball and a Debian package, twice the same bytes' packages_are_made
check 'packages: the Debian package installs, computes and goes again' debian_package_works
check 'packages: the tarball computes' tarball_works
check 'packages: the recipe for conda has this version, and its tests pass' conda_recipe_suits
check 'packages: all images and packages that are named are of this version' one_version_everywhere
