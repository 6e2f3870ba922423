process BIOPRUNE_MERGE {
    tag "$meta.id"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container "${ task.accelerator ? 'bioprune/bioprune-cuda:0.1.0' : 'bioprune/bioprune:0.1.0' }"

    input:
    tuple val(meta), path(parts)

    output:
    tuple val(meta), path("${prefix}.${suffix}"), emit: merged
    tuple val("${task.process}"), val('bioprune'), eval("bioprune --version | sed 's/^bioprune //'"), topic: versions, emit: versions_bioprune

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix   = task.ext.prefix ?: "${meta.id}"
    suffix   = [parts].flatten().first().name.endsWith('.tsv.gz') ? 'tsv.gz' : [parts].flatten().first().extension
    """
    bioprune merge \\
        ${args} \\
        --output ${prefix}.${suffix} \\
        ${parts}
    """

    stub:
    def args = task.ext.args ?: ''
    prefix   = task.ext.prefix ?: "${meta.id}"
    suffix   = [parts].flatten().first().name.endsWith('.tsv.gz') ? 'tsv.gz' : [parts].flatten().first().extension
    """
    echo ${args}

    ${suffix == 'tsv.gz' ? 'echo "" | gzip >' : 'touch'} ${prefix}.${suffix}
    """
}
