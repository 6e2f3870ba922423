// One set of sequences on many machines: the curvature in shards, then the scores in shards, then one selection.
// The coreset is, byte for byte, that of BIOPRUNE_PRUNE with the same options.

include { BIOPRUNE_CURVATURE                         } from '../../modules/bioprune/curvature/main'
include { BIOPRUNE_MERGE as BIOPRUNE_MERGE_CURVATURE } from '../../modules/bioprune/merge/main'
include { BIOPRUNE_SCORE                             } from '../../modules/bioprune/score/main'
include { BIOPRUNE_MERGE as BIOPRUNE_MERGE_SCORES    } from '../../modules/bioprune/merge/main'
include { BIOPRUNE_SELECT                            } from '../../modules/bioprune/select/main'

workflow BIOPRUNE_SCATTER {
    take:
    ch_sequences // channel: [ val(meta), path(sequences), path(groups) ]; `[]` for no groups
    ch_model     // value: path(model), or [] for the model that ships
    keep         // value: how much to keep of each set: '10%', 200000 or '50Mres'
    shards       // integer: tasks that each of the two long steps is cut into

    main:
    ch_shards = channel.of(1..shards).map { index -> "${index}/${shards}".toString() }

    ch_scored_sets = ch_sequences.map { meta, sequences, _groups -> [meta, sequences] }

    BIOPRUNE_CURVATURE(ch_scored_sets.combine(ch_shards), ch_model)
    BIOPRUNE_MERGE_CURVATURE(gather(BIOPRUNE_CURVATURE.out.curvature, shards))

    ch_scored = ch_scored_sets
        .join(BIOPRUNE_MERGE_CURVATURE.out.merged)
        .combine(ch_shards)
    BIOPRUNE_SCORE(ch_scored, ch_model)
    BIOPRUNE_MERGE_SCORES(gather(BIOPRUNE_SCORE.out.scores, shards))

    ch_selected = BIOPRUNE_MERGE_SCORES.out.merged
        .join(ch_sequences)
        .map { meta, scores, sequences, groups -> [meta, scores, sequences, [], groups] }
    BIOPRUNE_SELECT(ch_selected, keep)

    coreset   = BIOPRUNE_SELECT.out.coreset
    selected  = BIOPRUNE_SELECT.out.selected
    confounds = BIOPRUNE_SELECT.out.confounds
    report    = BIOPRUNE_SELECT.out.report
    manifest  = BIOPRUNE_SELECT.out.manifest
    scores    = BIOPRUNE_MERGE_SCORES.out.merged
    curvature = BIOPRUNE_MERGE_CURVATURE.out.merged

    emit:
    coreset   // channel: [ val(meta), path(coreset.fa.gz) ]
    selected  // channel: [ val(meta), path(selected.tsv) ]
    confounds // channel: [ val(meta), path(confounds.tsv) ]
    report    // channel: [ val(meta), path(report.html) ]
    manifest  // channel: [ val(meta), path(manifest.json) ]
    scores    // channel: [ val(meta), path(parquet) ]
    curvature // channel: [ val(meta), path(safetensors) ]
}

// All parts of a set, in an order that does not hang on which task ended first: else -resume would merge again.
def gather(ch_parts, shards) {
    return ch_parts.groupTuple(size: shards, sort: { a, b -> a.name <=> b.name })
}
