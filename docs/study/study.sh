#!/usr/bin/env bash
# The study of README.md, part by part. Each part may be stopped and started again: it goes on from what is there.
#
#     DATA=/data OUT=/results docs/study/study.sh PART...
#
# DATA   folder with the files that README.md names
# OUT    folder for the results (default: study-results)
# BIOPRUNE, THREADS, SEEDS, STEPS   program (default: bioprune), threads (0: all), seeds of a claim (5), steps of a training
# STRATEGIES, CONTROLS   of the parts that make claims (default: all of them)
# CAPPED  1: the coresets of every strategy are drawn under the cap of a group, not those of balanced alone
# START   what models of RNA begin at: hairpins (default; a model that knows nothing but how random hairpins pair) or random (weights).
#         Each has an OUT of its own.
set -euo pipefail

: "${DATA:?the folder with the data that docs/study/README.md names}"
OUT=${OUT:-study-results}
BIOPRUNE=${BIOPRUNE:-bioprune}
THREADS=${THREADS:-0}
SEEDS=${SEEDS:-5}
STEPS=${STEPS:-1500}
STRATEGIES=${STRATEGIES:-top-k,coverage,balanced}
CONTROLS=${CONTROLS:-records,residues,lengths,composition,cap,ten-times,everything}
START=${START:-hairpins}
CAPPED=${CAPPED:+--cap-coresets}
HERE=$(cd "$(dirname "$0")" && pwd)

RNA=$DATA/rna/rfam14.2_seed.fa.gz
REDUNDANT=$DATA/rna/rf00002_5.8S_redundant.fa.gz
STRUCTURES=$DATA/rna/rfam14.2_seed_consensus_ss.tsv.gz
PROTEIN=$DATA/protein/proteins_core.fa.gz
CLUSTERS=$DATA/protein/proteins_core_clusters.tsv.gz
SS3=$DATA/protein/flip_ss3.tsv.gz

# The split hangs on the seed, the group and the record alone: with these options train and evaluate hold out the same records.
RNA_SPLIT=(--groups 'header:(RF\d{5})' --holdout-groups 'header:clan=(CL\d+)' --holdout 0.15 --holdout-records 0.03 --seed 0)
PROTEIN_SPLIT=(--groups "$CLUSTERS" --groups-columns id,cluster30 --holdout 0.15 --holdout-records 0.03 --seed 0)

# The reference models and the hairpins' one have 1,024 positions, and RNA-FM's alphabet, as paper-code asks.
SHAPE=(--layers 4 --hidden-size 64 --heads 4 --ffn-size 256 --max-tokens 1024)
case $START in
hairpins)
    FROM=(--init "$OUT/rna-start.safetensors" --learning-rate 1.5e-3)
    RNA_REFERENCE=("${FROM[@]}")
    ;;
random)
    FROM=(--learning-rate 3e-3)
    RNA_REFERENCE=("${FROM[@]}" --architecture rna-fm "${SHAPE[@]}")
    ;;
*)
    echo "study.sh: START=$START: allowed are hairpins and random" >&2
    exit 2
    ;;
esac

# What every training of RNA begins at: 600 steps on random hairpins, one on records (there is no training on none).
start() {
    if [ "$START" = random ] || [ -e "$OUT/rna-start.safetensors" ]; then return; fi
    "$BIOPRUNE" train "$RNA" "$REDUNDANT" -o "$OUT/rna-start.safetensors" --architecture rna-fm "${RNA_SPLIT[@]}" "${SHAPE[@]}" \
        --pairing-start --hairpin-steps 600 --steps 1 --warmup 50 --learning-rate 1.5e-3 --threads "$THREADS"
}

# Trains the model that scores on everything that is not held out.
reference() { # NAME SPLIT OPTIONS AND INPUTS...
    local model=$OUT/$1.safetensors
    local -n split=$2
    shift 2
    [ -e "$model" ] && return
    "$BIOPRUNE" train "$@" -o "$model" "${split[@]}" --crop 160 --balance 16 --steps "$STEPS" --threads "$THREADS"
}

evaluate() { # NAME MODEL SPLIT OPTIONS AND INPUTS...
    local name=$1 model=$OUT/$2.safetensors
    local -n evaluated_split=$3
    shift 3
    "$BIOPRUNE" evaluate -o "$OUT/$name" --model "$model" "${evaluated_split[@]}" --seeds "$SEEDS" --steps "$STEPS" \
        --threads "$THREADS" ${CAPPED:+"$CAPPED"} "$@"
}

# id, sequence and so on, tab-separated, become FASTA; a file that is there is whole.
fasta() { # FILE TABLE ID-COLUMN SEQUENCE-COLUMN
    [ -e "$1" ] && return
    zcat "$2" | awk -F '\t' -v id="$3" -v sequence="$4" 'NR > 1 { print ">" $id "\n" $sequence }' >"$1.part"
    mv "$1.part" "$1"
}

part() {
    case $1 in
    near)
        for set in "rna $RNA rna-nano" "protein $PROTEIN protein-nano"; do
            read -r name input model <<<"$set"
            [ -e "$OUT/near-$name.parquet" ] || "$BIOPRUNE" score "$input" -o "$OUT/near-$name.parquet" --model "$model" \
                --objective reconstruction --sample 100 --threads "$THREADS"
            time "$BIOPRUNE" select "$OUT/near-$name.parquet" --keep 100% -o "$OUT/near-$name" --strategy top-k --groups near
        done
        "$HERE/compare_groups.py" "$OUT/near-protein/selected.tsv" "$CLUSTERS:id,cluster50" "$CLUSTERS:id,cluster30"
        zcat "$RNA" | sed -n 's/^>\(\(RF[0-9]*\)|[^ ]*\).*/\1\t\2/p' >"$OUT/families.tsv"
        "$HERE/compare_groups.py" "$OUT/near-rna/selected.tsv" "$OUT/families.tsv"
        ;;
    rna-reference)
        start
        reference rna-reference RNA_SPLIT "${RNA_REFERENCE[@]}" "$RNA" "$REDUNDANT"
        ;;
    protein-reference)
        reference protein-reference PROTEIN_SPLIT --architecture esm-2 "${SHAPE[@]}" --learning-rate 3e-3 "$PROTEIN"
        ;;
    # The claims: with and without the over-represented family, under the caps that `auto` was when they were made.
    rna-redundant)
        part rna-reference
        evaluate rna-redundant rna-reference RNA_SPLIT "${FROM[@]}" --keep 10% --cap-per-group 7 --strategies "$STRATEGIES" --controls "$CONTROLS" "$RNA" "$REDUNDANT"
        ;;
    rna)
        part rna-reference
        evaluate rna rna-reference RNA_SPLIT "${FROM[@]}" --keep 10% --cap-per-group 6 --strategies "$STRATEGIES" --controls "$CONTROLS" "$RNA"
        ;;
    protein)
        part protein-reference
        evaluate protein protein-reference PROTEIN_SPLIT --keep 10% --strategies "$STRATEGIES" --controls "$CONTROLS" "$PROTEIN"
        ;;
    # The claims about turns: under the cap that `auto` is now.
    rna-redundant-turns)
        part rna-reference
        evaluate rna-redundant-turns rna-reference RNA_SPLIT "${FROM[@]}" --keep 1%,10%,30% --strategies "$STRATEGIES" --controls "$CONTROLS" "$RNA" "$REDUNDANT"
        ;;
    rna-turns)
        part rna-reference
        evaluate rna-turns rna-reference RNA_SPLIT "${FROM[@]}" --keep 10% --strategies "$STRATEGIES" --controls "$CONTROLS" "$RNA"
        ;;
    protein-budgets)
        part protein-reference
        evaluate protein-budgets protein-reference PROTEIN_SPLIT --keep 1%,10%,30% --strategies "$STRATEGIES" --controls "$CONTROLS" "$PROTEIN"
        ;;
    # Sweeps: directions.
    rna-scores)
        part rna-reference
        evaluate rna-scores rna-reference RNA_SPLIT "${FROM[@]}" --keep 10% --strategies balanced --controls cap \
            --objectives masked-lm,reconstruction,paper-code --estimators plain,debiased "$RNA" "$REDUNDANT"
        ;;
    rna-passes)
        part rna-reference
        evaluate rna-passes rna-reference RNA_SPLIT "${FROM[@]}" --keep 10% --strategies balanced --controls cap \
            --estimators plain,debiased --mask-passes 1,3,7 "$RNA" "$REDUNDANT"
        ;;
    # One epoch on the curvature sample before scoring, beside none.
    rna-adapt)
        [ -e "$OUT/rna-turns/pool.fa.gz" ] || part rna-turns
        local balanced=(--keep 10% --strategy balanced --groups 'header:(RF\d{5})')
        "$BIOPRUNE" select "$OUT/rna-turns/masked-lm-debiased-7/scores.parquet" -o "$OUT/rna-plain" "${balanced[@]}"
        "$BIOPRUNE" prune "$OUT/rna-turns/pool.fa.gz" -o "$OUT/rna-adapted" "${balanced[@]}" \
            --model "$OUT/rna-reference.safetensors" --threads "$THREADS" --adapt
        evaluate rna-adapt rna-reference RNA_SPLIT "${FROM[@]}" --controls cap --selection "$OUT/rna-plain" "$OUT/rna-adapted" -- "$RNA"
        ;;
    # What embeddings tell: the models that ship, and their references.
    probe-rna)
        fasta "$OUT/structures.fa" "$STRUCTURES" 1 3
        for task in paired pair; do
            "$BIOPRUNE" probe "$OUT/structures.fa" -o "$OUT/probe-rna-$task" --model rna-nano --task "$task" --labels "$STRUCTURES" \
                --label consensus_dot_bracket --groups 'header:^(RF\d+)' --threads "$THREADS" --max-examples 20000 --on-illegal skip
        done
        ;;
    probe-protein)
        fasta "$OUT/ss3.fa" "$SS3" 1 4
        zcat "$SS3" | awk -F '\t' 'NR == 1 { print $0 "\tsplit"; next }
            { print $0 "\t" ($3 == "True" ? "valid" : $2) }' >"$OUT/ss3.tsv"
        "$BIOPRUNE" probe "$OUT/ss3.fa" -o "$OUT/probe-protein-ss3" --model protein-nano --task residue --labels "$OUT/ss3.tsv" \
            --label ss3 --mask resolved_mask --on-leak drop --threads "$THREADS" --max-examples 20000
        ;;
    *)
        echo "study.sh: no part $1; README.md lists them" >&2
        exit 2
        ;;
    esac
}

mkdir -p "$OUT"
[ $# -gt 0 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
for name in "$@"; do
    part "$name"
done
