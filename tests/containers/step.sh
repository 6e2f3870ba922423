# The image for workflow engines. Sourced by run.sh.
# shellcheck shell=bash

# in_step ARGUMENT...: with $work as the working directory, and without a network.
in_step() {
  podman run --rm --network=none -v "$work:/work" -w /work "$@"
}

step_does_the_main_job() {
  in_step "$step" bioprune prune set.fa "${job[@]}" -o step
  same_coreset "$work/step"
}

# Nextflow runs tasks as whoever started it, through bash, and measures them with ps.
step_suits_the_engines() {
  in_step --user 1234:1234 "$step" bash -c 'ps -o pid= -p $$ && test "$(id -u)" = 1234 && bioprune --version'
  test "$(podman image inspect --format '{{.Config.Entrypoint}}{{.User}}' "$step")" = '[]'
  in_step "$step" bash -c 'test -s /etc/ssl/certs/ca-certificates.crt'
}

# A sixteenth of the protein example too.
step_prunes_proteins() {
  gzip -dc "$root/examples/protein/uniprot_sample.fa.gz" | awk '/^>/ { take = n++ % 16 == 0 } take' > "$work/protein.fa"
  (cd "$work" && "$program" prune protein.fa "${job[@]}" -o protein-expected --quiet)
  in_step "$step" bioprune prune protein.fa "${job[@]}" -o protein
  cmp "$work/protein-expected/coreset.fa.gz" "$work/protein/coreset.fa.gz"
}

# One processor is one thread. In 80 MB the threads that are asked for would be killed: smaller batches and fewer threads are not.
limits_are_honoured() {
  in_step --cpus 1 --memory 1g "$step" bioprune prune set.fa "${job[@]}" -o one -v 2>&1 | tee "$work/one.log"
  grep -F ': 1 thread and batches of 4096 tokens' "$work/one.log"
  same_coreset "$work/one"
  in_step --memory 80m --memory-swap 80m "$step" bioprune prune set.fa "${job[@]}" --threads 16 -o small 2>&1 |
    tee "$work/small.log"
  grep -F 'does not hold 16 threads and batches of 4096 tokens' "$work/small.log"
  same_coreset "$work/small"
}

check 'step: the main job gives the coreset of the command' step_does_the_main_job
check 'step: bash, ps, certificates, any user, no entrypoint' step_suits_the_engines
check 'step: the protein example' step_prunes_proteins
check 'step: threads and batches follow the limits of the container' limits_are_honoured
