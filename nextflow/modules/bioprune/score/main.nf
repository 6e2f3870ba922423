process BIOPRUNE_SCORE {
    tag "$meta.id"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container "${ task.accelerator ? 'bioprune/bioprune-cuda:0.1.0' : 'bioprune/bioprune:0.1.0' }"

    input:
    tuple val(meta), path(sequences), path(curvature), val(shard)
    path model

    output:
    tuple val(meta), path("${prefix}.parquet"), emit: scores
    tuple val("${task.process}"), val('bioprune'), eval("bioprune --version | sed 's/^bioprune //'"), topic: versions, emit: versions_bioprune

    when:
    task.ext.when == null || task.ext.when

    script:
    def args          = task.ext.args ?: ''
    prefix            = (task.ext.prefix ?: "${meta.id}") + (shard ? ".${shard.replace('/', 'of')}" : '')
    def curvature_arg = curvature ? "--curvature ${curvature}" : ''
    def shard_arg     = shard ? "--shard ${shard}" : ''
    def model_arg     = model ? "--model ${model}" : ''
    def device        = task.accelerator ? 'cuda' : 'cpu'
    """
    # a service, if one is named, has a device and threads of its own
    [ -n "\${BIOPRUNE_SERVER:-}" ] || export BIOPRUNE_DEVICE=${device} BIOPRUNE_THREADS=${task.cpus}

    bioprune score \\
        ${curvature_arg} \\
        ${shard_arg} \\
        ${model_arg} \\
        ${args} \\
        --output ${prefix}.parquet \\
        ${sequences}
    """

    stub:
    def args = task.ext.args ?: ''
    prefix   = (task.ext.prefix ?: "${meta.id}") + (shard ? ".${shard.replace('/', 'of')}" : '')
    """
    echo ${args}

    touch ${prefix}.parquet
    """
}
