#!/bin/bash
# What conda-build runs: the licences of all crates, the program, its manual pages and completions.
set -euxo pipefail

cargo-bundle-licenses --format yaml --output THIRDPARTY.yml
cargo install --locked --no-track --root "$PREFIX" --path .
mkdir -p "$PREFIX"/share/{man/man1,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
"$PREFIX/bin/bioprune" man "$PREFIX/share/man/man1"
"$PREFIX/bin/bioprune" completions bash > "$PREFIX/share/bash-completion/completions/bioprune"
"$PREFIX/bin/bioprune" completions zsh > "$PREFIX/share/zsh/site-functions/_bioprune"
"$PREFIX/bin/bioprune" completions fish > "$PREFIX/share/fish/vendor_completions.d/bioprune.fish"
