process BIOPRUNE_PRUNE {
    tag "$meta.id"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container "${ task.accelerator ? 'bioprune/bioprune-cuda:0.1.0' : 'bioprune/bioprune:0.1.0' }"

    input:
    tuple val(meta), path(sequences), path(groups, stageAs: 'groups/*')
    path model
    val keep

    output:
    tuple val(meta), path("${prefix}/coreset.fa.gz")        , emit: coreset
    tuple val(meta), path("${prefix}/selected.tsv")         , emit: selected
    tuple val(meta), path("${prefix}/confounds.tsv")        , emit: confounds
    tuple val(meta), path("${prefix}/scores.parquet")       , emit: scores
    tuple val(meta), path("${prefix}/curvature.safetensors"), emit: curvature
    tuple val(meta), path("${prefix}/report.html")          , emit: report
    tuple val(meta), path("${prefix}/manifest.json")        , emit: manifest
    tuple val("${task.process}"), val('bioprune'), eval("bioprune --version | sed 's/^bioprune //'"), topic: versions, emit: versions_bioprune

    when:
    task.ext.when == null || task.ext.when

    script:
    def args      = task.ext.args ?: ''
    prefix        = task.ext.prefix ?: "${meta.id}"
    def model_arg = model ? "--model ${model}" : ''
    def group_arg = groups ? "--groups ${groups}" : ''
    def device    = task.accelerator ? 'cuda' : 'cpu'
    """
    # a service, if one is named, has a device and threads of its own
    [ -n "\${BIOPRUNE_SERVER:-}" ] || export BIOPRUNE_DEVICE=${device} BIOPRUNE_THREADS=${task.cpus}

    bioprune prune \\
        --keep ${keep} \\
        ${model_arg} \\
        ${group_arg} \\
        ${args} \\
        --output ${prefix}/ \\
        ${sequences}
    """

    stub:
    def args = task.ext.args ?: ''
    prefix   = task.ext.prefix ?: "${meta.id}"
    """
    echo ${args}

    mkdir ${prefix}
    echo "" | gzip > ${prefix}/coreset.fa.gz
    touch ${prefix}/selected.tsv
    touch ${prefix}/confounds.tsv
    touch ${prefix}/scores.parquet
    touch ${prefix}/curvature.safetensors
    touch ${prefix}/report.html
    touch ${prefix}/manifest.json
    """
}
