# The verbs of everyday work; each calls what CI or a user calls.

# all checks, as CI runs them
test *options:
    ./test.sh {{options}}

# format and lints alone
lint:
    cargo fmt --check
    cargo clippy --locked --release --all-targets -- -D warnings

# the parts' speed
bench *options:
    cargo bench --locked {{options}}

# beside other programs that do a part of the same work, which it installs (engine, selection, files; all without a name)
peers *parts:
    benches/peers/run.sh {{parts}}

# the main job on the shipped example, into out/
example:
    cargo run --locked --release -- prune examples/rna/rfam_cm_samples.fa.gz --keep 10% -o out/

# the drills, each step repeated so often: processes killed, stores that fail (needs BIOPRUNE_TEST_WEED, see tests/it/support)
chaos rounds='100':
    BIOPRUNE_CHAOS={{rounds}} cargo test --locked --release --test it drill -- --test-threads 1 --nocapture

# the drills of the Slurm cluster, then so many rounds of random ones, about two minutes each (root alone can start the cluster)
chaos-slurm rounds='20':
    cargo build --locked --release
    BIOPRUNE_CHAOS={{rounds}} tests/workflows/run.sh "${CARGO_TARGET_DIR:-target}/release/bioprune" slurm

# 200 clients at once against a live service for so many seconds, and how long it takes them to look at a job
load seconds='60':
    BIOPRUNE_LOAD={{seconds}} cargo test --locked --release --test it many_clients -- --nocapture

# the most memory held for a small object and for one of so many megabytes, local and in a store (needs BIOPRUNE_TEST_WEED)
memory megabytes='2048':
    BIOPRUNE_MEMORY_MB={{megabytes}} cargo test --locked --release --test it memory_does_not_grow -- --test-threads 1 --nocapture

# so many mutated inputs for each reader: sequences, scores, curvature, requests, PyTorch files
fuzz inputs='1000000':
    BIOPRUNE_FUZZ_INPUTS={{inputs}} cargo test --locked --release --lib fuzz -- --nocapture

# write the OpenAPI document that the service serves
openapi:
    cargo run --locked --release -- openapi > openapi/openapi.json

# both images, compiled inside the build (options of buildah; `--program FILE` takes a built program); see containers/README.md
images *options:
    containers/build.sh {{options}}

# the images, built from the release program and run for real
test-images:
    cargo build --locked --release
    tests/containers/run.sh "${CARGO_TARGET_DIR:-target}/release/bioprune"

# a tarball and a Debian package of the release program, into dist/
package:
    cargo build --locked --release
    packaging/package.sh "${CARGO_TARGET_DIR:-target}/release/bioprune" dist/

# everything that needs a GPU: each family against the CPU, then speeds beside the card's own and the effect of the batch
gpu-check:
    cargo test --locked --release --features cuda --test it -- gpu:: --ignored --nocapture --test-threads 1
    cargo bench --locked --features cuda --bench models -- --gpu bf16
    cargo bench --locked --features cuda --bench models -- --gpu f32
    for tokens in 4096 8192 16384 65536; do BIOPRUNE_BENCH_TOKENS=$tokens cargo bench --locked --features cuda --bench models -- --gpu bf16 rna-fm esm2-650m; done
