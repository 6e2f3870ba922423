# The image as the container of workflow engines' steps. Sourced by run.sh.
# shellcheck shell=bash

nextflow_with_podman() {
  export NEXTFLOW_JARS=$workflows/nextflow
  printf 'sample,sequences\nset,set.fa\n' > "$work/sheet.csv"
  mkdir -p "$work/nextflow"
  cd "$work/nextflow"
  # nothing of bioprune is on PATH: only the image has it
  if command -v bioprune; then return 1; fi
  "$root/tests/workflows/nextflow/nextflow" run "$root/nextflow/main.nf" -profile test,podman --input "$work/sheet.csv" \
    --outdir results --sample 50 --skip_multiqc
  same_coreset results/set
  grep -rq 'podman run' work
}

# What an executor of Snakemake that runs jobs in an image does: Snakemake starts in it, and its rules find bioprune there.
snakemake_in_the_image() {
  podman build "${build_options[@]}" --quiet -t snakemake-base - << CONTAINERFILE
FROM debian:bookworm-slim
RUN apt-get -qq update && apt-get -qq install --no-install-recommends python3 procps > /dev/null
CONTAINERFILE
  podman build "${build_options[@]}" --quiet -t snakemake --build-arg SNAKEMAKE=snakemake-base --build-arg BIOPRUNE="$step" \
    -f "$root/containers/Containerfile.snakemake" "$root"
  mkdir -p "$work/snakemake"
  cd "$work/snakemake"
  cp "$work/set.fa" .
  printf 'sample\tsequences\nset\tset.fa\n' > samples.tsv
  printf 'samples: samples.tsv\nkeep: 10%%\nmask_passes: 1\nsample: 50\n' > config.yaml
  podman run --rm --network=none -v "$work/snakemake:/work" -w /work -v "$root/snakemake:/workflow:ro" \
    -v "$(echo "$workflows"/snakemake/lib/python3*/site-packages):/packages:ro" -e PYTHONPATH=/packages snakemake \
    python3 -m snakemake --snakefile /workflow/workflow/Snakefile --configfile config.yaml --config shards=2 --cores 2
  same_coreset results/set
}

if [ -d "$workflows/nextflow/lint" ]; then
  check 'nextflow: its tasks run in the image, by profile podman' nextflow_with_podman
else
  echo "left out      nextflow in the image: $workflows has no Nextflow"
fi
if [ -x "$workflows/snakemake/bin/snakemake" ]; then
  check 'snakemake: runs in an image made of this one, as on a cluster of containers' snakemake_in_the_image
else
  echo "left out      snakemake in the image: $workflows has no Snakemake"
fi
