#!/usr/bin/env nextflow
// A workflow that was there before, and the two lines that put bioprune into it.

include { BIOPRUNE_PRUNE } from '../modules/bioprune/prune/main' // line 1

params.input  = "${projectDir}/../../examples/rna/*.fa.gz"
params.outdir = 'results'

// Stands for what the workflow is for: here it only counts.
process TRAIN {
    tag "${meta.id}"
    publishDir { params.outdir }, mode: 'copy'

    input:
    tuple val(meta), path(sequences)

    output:
    tuple val(meta), path("${meta.id}.records.txt")

    script:
    """
    gzip -cdf ${sequences} | grep -c '^>' > ${meta.id}.records.txt
    """
}

workflow {
    ch_sets = channel.fromPath(params.input).map { file -> [[id: file.simpleName], file] }
    ch_sets = BIOPRUNE_PRUNE(ch_sets.map { set -> set + [[]] }, [], '10%').coreset // line 2
    TRAIN(ch_sets)
}
