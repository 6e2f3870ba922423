process BIOPRUNE_PRUNEURI {
    tag "$meta.id"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container "${ task.accelerator ? 'bioprune/bioprune-cuda:0.1.0' : 'bioprune/bioprune:0.1.0' }"

    input:
    tuple val(meta), val(sequences), val(etags), val(destination)
    val model
    val keep

    output:
    tuple val(meta), val("${folder}/coreset.fa.gz")        , emit: coreset
    tuple val(meta), val("${folder}/selected.tsv")         , emit: selected
    tuple val(meta), val("${folder}/confounds.tsv")        , emit: confounds
    tuple val(meta), val("${folder}/scores.parquet")       , emit: scores
    tuple val(meta), val("${folder}/curvature.safetensors"), emit: curvature
    tuple val(meta), val("${folder}/report.html")          , emit: report
    tuple val(meta), val("${folder}/manifest.json")        , emit: manifest
    tuple val(meta), path("${prefix}.json")                , emit: summary
    tuple val("${task.process}"), val('bioprune'), eval("bioprune --version | sed 's/^bioprune //'"), topic: versions, emit: versions_bioprune

    when:
    task.ext.when == null || task.ext.when

    script:
    def args      = task.ext.args ?: ''
    prefix        = task.ext.prefix ?: "${meta.id}"
    folder        = destination.toString().replaceAll('/+$', '')
    def uris      = [sequences].flatten().collect { uri -> "'${uri}'" }.join(' ')
    def model_arg = model ? "--model '${model}'" : ''
    def device    = task.accelerator ? 'cuda' : 'cpu'
    """
    # a service, if one is named, has a device and threads of its own
    [ -n "\${BIOPRUNE_SERVER:-}" ] || export BIOPRUNE_DEVICE=${device} BIOPRUNE_THREADS=${task.cpus}

    bioprune prune \\
        --keep ${keep} \\
        ${model_arg} \\
        ${args} \\
        --json \\
        --output '${folder}/' \\
        ${uris} \\
        > ${prefix}.json
    """

    stub:
    def args = task.ext.args ?: ''
    prefix   = task.ext.prefix ?: "${meta.id}"
    folder   = destination.toString().replaceAll('/+$', '')
    """
    echo ${args}

    touch ${prefix}.json
    """
}
