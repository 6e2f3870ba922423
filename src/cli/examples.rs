//! The examples that `--help` ends with. A test parses each line that starts with `bioprune`.

pub(super) const PROGRAM: &str = "\
Start here:
  bioprune prune rna.fa.gz --keep 10% -o out/    a coreset, its scores and a report
  bioprune help prune                            all options of a command, with examples";

pub(super) const PROGRAM_LONG: &str = "\
Start here:
  bioprune prune rna.fa.gz --keep 10% -o out/    a coreset, its scores and a report
  bioprune help prune                            all options of a command, with examples

Scores:
  A score is a record's self-influence under the reference model: larger is more influential.

Exit status:
    0  done
    2  the options do not make sense
   65  an input, or what was asked for, is not valid
   66  an input does not exist
   69  the model cannot be used
   70  a fault of bioprune itself
   74  the storage failed, or a source changed while it was read
   77  the service refused the token or the location
  104  the service is busy or out of reach: worth a retry
  130  interrupted (143 when terminated)
  137  memory does not suffice for a single record

Environment:
  BIOPRUNE_MODEL, BIOPRUNE_THREADS and others, as --help names them: defaults of flags
  BIOPRUNE_LOG                  log filter, as in env_logger: debug, bioprune::storage=trace
  AWS_*, GOOGLE_*, AZURE_*      access to object storage
  HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE
                                cache, token and address of the Hugging Face Hub, and to do without it";

pub(super) const PRUNE: &str = "\
Examples:
  Keep a tenth of the records:
    bioprune prune rna.fa.gz --keep 10% -o out/

  Keep 50 million residues, from and to object storage:
    bioprune prune s3://bucket/rna/ --keep 50Mres -o s3://bucket/coreset/

  A seventh of the time for noisier scores, and the curvature from 2,000 records:
    bioprune prune a.fa b.fa.gz --keep 20000 -o out/ --mask-passes 1 --sample 2000

  At most so many of a family, and of these the most influential of each length; families from any clusterer:
    bioprune prune rna.fa.gz --keep 10% -o out/ --strategy balanced --groups clusters.tsv

  The paper's settings: plain estimator, absolute damping, the highest influence:
    bioprune prune rna.fa --keep 1% -o out/ --estimator plain --damping 1e-8 --strategy top-k";

pub(super) const CURVATURE: &str = "\
Examples:
  Estimate the curvature once, and score many files under it:
    bioprune curvature rna.fa.gz -o curvature.safetensors

  On a tenth of the records:
    bioprune curvature rna.fa.gz -o curvature.safetensors --sample 10%

  As one of 8 parts, which `bioprune merge` adds up:
    bioprune curvature rna.fa.gz -o part3.safetensors --shard 3/8";

pub(super) const SCORE: &str = "\
Examples:
  Estimate the curvature on 5,000 records, then score every record:
    bioprune score rna.fa.gz -o scores.parquet

  Under a curvature that is there already, as text:
    bioprune score new.fa.gz --curvature curvature.safetensors -o scores.tsv.gz

  As one of 8 parts, which `bioprune merge` puts together:
    bioprune score rna.fa.gz --curvature curvature.safetensors --shard 3/8 -o part3.parquet";

pub(super) const SELECT: &str = "\
Examples:
  Keep a tenth; the sequences are read from where the scores say they were:
    bioprune select scores.parquet --keep 10% -o coreset/

  The sequences lie elsewhere now:
    bioprune select scores.parquet --keep 200000 -o coreset/ --sequences rna.fa.gz

  At most 7 of a family, which the header tells before a bar, and its control:
    bioprune select scores.parquet --keep 10% -o top/ --strategy top-k --groups 'header:^([^|]+)' --cap-per-group 7
    bioprune select scores.parquet --keep 10% -o random/ --strategy random --groups 'header:^([^|]+)' --cap-per-group 7

  A control: a random set with the length distribution of that coreset:
    bioprune select scores.parquet --keep 10% -o control/ --strategy random-matched --match coreset/";

pub(super) const MERGE: &str = "\
Examples:
  Scores of all shards, in input order:
    bioprune merge part1.parquet part2.parquet part3.parquet -o scores.parquet

  Curvature of all shards:
    bioprune merge part1.safetensors part2.safetensors -o curvature.safetensors";

pub(super) const SERVE: &str = "\
Examples:
  On this machine, for inputs and outputs below one directory:
    bioprune serve --allow /data/rna

  For everyone who has a token, and one bucket:
    bioprune serve --listen 0.0.0.0:8080 --token-file tokens.txt --allow s3://bucket/rna/

  Then, from anywhere; /docs explains all endpoints:
    curl -H 'Content-Type: application/json' http://localhost:8080/v1/prune \\
      -d '{\"inputs\": [\"/data/rna/rna.fa.gz\"], \"output\": \"/data/rna/out/\", \"keep\": \"10%\"}'";

pub(super) const HEALTH: &str = "\
Examples:
    bioprune health
    bioprune health https://bioprune.example.org

  In a Containerfile or a compose file:
    HEALTHCHECK CMD [\"bioprune\", \"health\"]";

pub(super) const JOBS: &str = "\
Examples:
    bioprune jobs list --server http://localhost:8080 --state running
    bioprune jobs cancel prune-0123456789abcdef01234567 --server http://localhost:8080";

pub(super) const TRAIN: &str = "\
Examples:
  A small model from scratch, with a tenth of the families held out to measure it on:
    bioprune train rna.fa.gz -o model.safetensors --groups 'header:^([^|]+)' --holdout 0.1

  A protein model, with whole clusters held out as a table tells them:
    bioprune train proteins.fa.gz -o model.safetensors --architecture esm-2 --groups clusters.tsv --holdout 0.1

  Go on from a model for one epoch over more data:
    bioprune train more.fa.gz -o model.safetensors --init rna-nano --epochs 1";

pub(super) const OPENAPI: &str = "\
Examples:
    bioprune openapi > openapi.json";

pub(super) const MODELS: &str = "\
Examples:
    bioprune models list
    bioprune models show rna-nano --measure
    bioprune models show facebook/esm2_t12_35M_UR50D
    bioprune models list --json | jq -r '.[].name'";

pub(super) const COMPLETIONS: &str = "\
Examples:
    bioprune completions bash > ~/.local/share/bash-completion/completions/bioprune
    bioprune completions zsh > ~/.zfunc/_bioprune
    bioprune completions fish > ~/.config/fish/completions/bioprune.fish";

pub(super) const MAN: &str = "\
Examples:
    bioprune man | man -l -
    bioprune man ~/.local/share/man/man1";

pub(super) const EVALUATE: &str = "\
Examples:
  Is a tenth by influence better than a random tenth? Families are told by the headers, as in RF00001|X01556:
    bioprune evaluate rna.fa.gz -o evaluation/ --keep 10% --groups 'header:^([^|]+)'

  A first look:
    bioprune evaluate rna.fa.gz -o evaluation/ --keep 10% --groups 'header:^([^|]+)' --preset quick --seeds 3

  A coreset that is there already, and proteins whose clusters a table tells:
    bioprune evaluate proteins.fa.gz -o evaluation/ --keep 10% --groups clusters.tsv --selection out/

  Several budgets, objectives and estimators in one go:
    bioprune evaluate rna.fa.gz -o evaluation/ --keep 1%,10%,30% --groups 'header:^([^|]+)' --objectives masked-lm,reconstruction --estimators plain,debiased";

pub(super) const EMBED: &str = "\
Examples:
  One vector for each record, the mean of its residues' hidden states:
    bioprune embed rna.fa.gz -o embeddings.parquet

  A vector for each residue, under a model of the hub:
    bioprune embed proteins.fa.gz -o embeddings.parquet --per-residue --model facebook/esm2_t12_35M_UR50D";

pub(super) const PROBE: &str = "\
Examples:
  Families or RNA types, from a table of id and label; near-duplicates stay on one side:
    bioprune probe rna.fa.gz --labels types.tsv --task sequence -o probe/

  Secondary structure of proteins, residue by residue, in the splits of the table:
    bioprune probe proteins.fa.gz --labels ss3.tsv --label ss3 --split set --mask resolved --task residue -o probe/

  Base pairs from structures in dot-bracket notation, with whole families held out:
    bioprune probe rna.fa.gz --labels structures.tsv --label structure --task pair --groups 'header:^([^|]+)' -o probe/";

pub(super) const WITH_SERVER: &str = "\
Examples:
  Many small sets through one service, which takes them one after the other:
    bioprune with-server -- sh prune_all.sh

  On a port and for one folder, until nobody has used it for ten minutes:
    bioprune with-server --listen 127.0.0.1:0 --allow /data/rna --idle-timeout 600 -- sh prune_all.sh

  The command is told the address in BIOPRUNE_SERVER (and BIOPRUNE_TOKEN), which bioprune's own commands heed; its exit status
  is that of all.";
