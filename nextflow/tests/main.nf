#!/usr/bin/env nextflow
// Every module by itself, and the scatter, on one set. The script tests/workflows/run.sh compares what comes out with
// what the commands write.

include { BIOPRUNE_PRUNE                      } from '../modules/bioprune/prune/main'
include { BIOPRUNE_CURVATURE                  } from '../modules/bioprune/curvature/main'
include { BIOPRUNE_MERGE as MERGE_CURVATURE   } from '../modules/bioprune/merge/main'
include { BIOPRUNE_SCORE                      } from '../modules/bioprune/score/main'
include { BIOPRUNE_SCORE as SCORE_ALONE       } from '../modules/bioprune/score/main'
include { BIOPRUNE_MERGE as MERGE_SCORES      } from '../modules/bioprune/merge/main'
include { BIOPRUNE_SELECT                     } from '../modules/bioprune/select/main'
include { BIOPRUNE_SELECT as SELECT_CONTROL   } from '../modules/bioprune/select/main'
include { BIOPRUNE_SCATTER                    } from '../subworkflows/bioprune_scatter/main'

workflow {
    ch_set   = channel.of([[id: 'set'], file(params.input, checkIfExists: true)])
    ch_plain = ch_set.map { meta, sequences -> [meta, sequences, []] } // without groups
    model    = file(params.model, checkIfExists: true)
    ch_shard = channel.of('1/2', '2/2')

    BIOPRUNE_PRUNE(ch_plain, [], params.keep)

    BIOPRUNE_CURVATURE(ch_set.combine(ch_shard), [])
    MERGE_CURVATURE(BIOPRUNE_CURVATURE.out.curvature.groupTuple(size: 2))

    BIOPRUNE_SCORE(ch_set.join(MERGE_CURVATURE.out.merged).combine(ch_shard), [])
    MERGE_SCORES(BIOPRUNE_SCORE.out.scores.groupTuple(size: 2))
    // the optional inputs the other way round: weights, no curvature, no shard
    SCORE_ALONE(ch_set.map { meta, sequences -> [meta, sequences, [], []] }, model)

    BIOPRUNE_SELECT(MERGE_SCORES.out.merged.join(ch_set).map { parts -> parts + [[], []] }, params.keep)
    SELECT_CONTROL(MERGE_SCORES.out.merged.join(ch_set).join(BIOPRUNE_SELECT.out.selected).map { parts -> parts + [[]] }, params.keep)

    BIOPRUNE_SCATTER(ch_plain, [], params.keep, 3)

    channel.topic('versions').unique().view { process, tool, version -> "version ${process} ${tool} ${version}" }
}
