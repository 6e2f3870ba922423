#!/usr/bin/env nextflow
// An object of a store, by reference. The script tests/workflows/nextflow.sh runs it against an S3 server and a service.

include { BIOPRUNE_PRUNEURI } from '../../modules/bioprune/pruneuri/main'

workflow {
    BIOPRUNE_PRUNEURI([[id: 'set'], params.input, params.etag, params.destination], [], '10%')
    BIOPRUNE_PRUNEURI.out.coreset.view { meta, uri -> "coreset ${meta.id} ${uri}" }
}
