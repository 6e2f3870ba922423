#!/usr/bin/env bash
# Makes what a release hands out from a built program: a tarball and a Debian package, both with manual pages, completions and
# licences. The same program at the same commit gives the same bytes.
#
#   packaging/package.sh BIOPRUNE DIR
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# = 2 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
program=$(realpath "$1")
mkdir -p "$2"
target=$(realpath "$2")

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
description=$(sed -n 's/^description = "\(.*\)"/\1/p' "$root/Cargo.toml")
if [ "$("$program" --version)" != "bioprune $version" ]; then
  echo "$program is $("$program" --version), Cargo.toml says $version" >&2
  exit 1
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2> /dev/null || echo 0)}
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# One tree for both: what lies below /usr.
usr=$work/usr
documents=$usr/share/doc/bioprune
install -D -m 0755 --strip "$program" "$usr/bin/bioprune"
install -D -m 0644 -t "$documents" "$root"/LICENSE-* "$root/README.md" "$root/CHANGELOG.md"
install -D -m 0644 -t "$documents/docs" "$root"/docs/*.md
mkdir -p "$usr"/share/{man/man1,bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
"$program" man "$usr/share/man/man1" > /dev/null
gzip -9n "$usr"/share/man/man1/*.1
"$program" completions bash > "$usr/share/bash-completion/completions/bioprune"
"$program" completions zsh > "$usr/share/zsh/vendor-completions/_bioprune"
"$program" completions fish > "$usr/share/fish/vendor_completions.d/bioprune.fish"

name=bioprune-$version-$(uname -m)-linux
tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --transform "s|^usr|$name|" -c usr |
  gzip -n > "$target/$name.tar.gz"
echo "$target/$name.tar.gz"

if ! command -v dpkg-deb > /dev/null; then
  echo 'no Debian package: dpkg-deb is not installed' >&2
  exit
fi
# Debian has one file of this name for the licence
cat "$root/LICENSE-MIT" "$root/LICENSE-APACHE" > "$documents/copyright"
rm "$documents"/LICENSE-*
gzip -9n "$documents/CHANGELOG.md"
# the newest symbols of the C library that the program asks for
glibc=$(objdump -T "$usr/bin/bioprune" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
mkdir "$work/DEBIAN"
cat > "$work/DEBIAN/control" << CONTROL
Package: bioprune
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: The bioprune authors <bioprune@localhost>
Installed-Size: $(du -sk "$usr" | cut -f 1)
Depends: libc6 (>= ${glibc#GLIBC_}), libgcc-s1
Recommends: ca-certificates
Section: science
Priority: optional
Description: $description
 Scores RNA and protein sequences by their self-influence under a reference
 masked language model, and selects a coreset of a given budget: as a command,
 as a step of a workflow, or as a REST service.
CONTROL
(cd "$work" && find usr -type f -print0 | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
find "$work" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
package=$target/bioprune_${version}_$(dpkg --print-architecture).deb
dpkg-deb --root-owner-group -Zxz -z2 --build "$work" "$package" > /dev/null
echo "$package"
