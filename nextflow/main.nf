#!/usr/bin/env nextflow
// Prunes each set of a samplesheet: a coreset with the evidence for it, and one MultiQC page over all sets.

include { BIOPRUNE_PRUNE   } from './modules/bioprune/prune/main'
include { BIOPRUNE_SCATTER } from './subworkflows/bioprune_scatter/main'
include { MULTIQC          } from './modules/local/multiqc/main'
include { readSamplesheet  } from './subworkflows/samplesheet/main'

workflow {
    main:
    if (!params.input || !params.outdir) {
        error('--input SAMPLESHEET.csv and --outdir DIR are needed; README.md beside this pipeline tells what goes in and what comes out')
    }
    def schema   = file("${projectDir}/assets/schema_input.json")
    def sets     = readSamplesheet(file(params.input, checkIfExists: true), schema)
    def model    = params.model ? file(params.model, checkIfExists: true) : []
    ch_sequences = channel.fromList(sets)

    if (params.shards > 1) {
        BIOPRUNE_SCATTER(ch_sequences, model, params.keep, params.shards)
        ch_manifest = BIOPRUNE_SCATTER.out.manifest
    }
    else {
        BIOPRUNE_PRUNE(ch_sequences, model, params.keep)
        ch_manifest = BIOPRUNE_PRUNE.out.manifest
    }

    ch_table = ch_manifest
        .map { meta, manifest -> statistics(meta.id, manifest) }
        .collectFile(name: 'bioprune_mqc.tsv', seed: statisticsHeader(), newLine: true, sort: true)
    channel.topic('versions')
        .unique()
        .map { process, tool, version -> "${process.tokenize(':').last()}:\n  ${tool}: ${version}" }
        .collectFile(name: 'bioprune_mqc_versions.yml', newLine: true, sort: true, storeDir: "${params.outdir}/pipeline_info")

    if (!params.skip_multiqc) {
        MULTIQC(ch_table, file("${projectDir}/assets/multiqc_config.yml"))
    }
}

// A row of MultiQC's general statistics, from the manifest of one set.
def statistics(sample, manifest) {
    def told  = new groovy.json.JsonSlurper().parseText(manifest.text)
    def pool  = told.selection.pool
    def kept  = told.selection.kept
    return [
        sample,
        pool.records,
        kept.records,
        share(kept.records, pool.records),
        share(kept.residues, pool.residues),
        told.counts.truncated,
        told.counts.skipped.values().sum() ?: 0,
    ].join('\t')
}

def share(part, whole) {
    return whole ? 100 * part / whole : 0
}

def statisticsHeader() {
    return '''\
        |# plot_type: 'generalstats'
        |# headers:
        |#   pool: {title: 'Pool', description: 'Records scored', format: '{:,.0f}'}
        |#   kept: {title: 'Kept', description: 'Records of the coreset', format: '{:,.0f}'}
        |#   kept_share: {title: '% kept', description: 'Share of the records kept', suffix: '%', max: 100, min: 0}
        |#   residues_share: {title: '% residues', description: 'Share of the residues kept', suffix: '%', max: 100, min: 0}
        |#   truncated: {title: 'Cut', description: 'Records scored on their first residues only', format: '{:,.0f}'}
        |#   skipped: {title: 'Left out', description: 'Records that could not be scored', format: '{:,.0f}'}
        |Sample\tpool\tkept\tkept_share\tresidues_share\ttruncated\tskipped'''.stripMargin()
}
