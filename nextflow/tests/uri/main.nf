#!/usr/bin/env nextflow
// An object of a store, by reference. The script tests/workflows/nextflow.sh runs it against an S3 server and a service.

include { BIOPRUNE_PRUNE_URI } from '../../modules/bioprune/prune_uri/main'

workflow {
    BIOPRUNE_PRUNE_URI([[id: 'set'], params.input, params.etag, params.destination], [], '10%')
    BIOPRUNE_PRUNE_URI.out.coreset.view { meta, uri -> "coreset ${meta.id} ${uri}" }
}
