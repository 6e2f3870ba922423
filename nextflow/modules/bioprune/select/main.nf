process BIOPRUNE_SELECT {
    tag "$meta.id"
    label 'process_low'

    conda "${moduleDir}/environment.yml"
    container "${ task.accelerator ? 'bioprune/bioprune-cuda:0.1.0' : 'bioprune/bioprune:0.1.0' }"

    input:
    tuple val(meta), path(scores), path(sequences), path(matched), path(groups, stageAs: 'groups/*')
    val keep

    output:
    tuple val(meta), path("${prefix}/coreset.fa.gz"), emit: coreset
    tuple val(meta), path("${prefix}/selected.tsv") , emit: selected
    tuple val(meta), path("${prefix}/confounds.tsv"), emit: confounds
    tuple val(meta), path("${prefix}/report.html")  , emit: report
    tuple val(meta), path("${prefix}/manifest.json"), emit: manifest
    tuple val("${task.process}"), val('bioprune'), eval("bioprune --version | sed 's/^bioprune //'"), topic: versions, emit: versions_bioprune

    when:
    task.ext.when == null || task.ext.when

    script:
    def args        = task.ext.args ?: ''
    prefix          = task.ext.prefix ?: "${meta.id}"
    def matched_arg = matched ? "--match ${matched}" : ''
    def group_arg   = groups ? "--groups ${groups}" : ''
    """
    bioprune select \\
        --keep ${keep} \\
        ${matched_arg} \\
        ${group_arg} \\
        ${args} \\
        --output ${prefix}/ \\
        ${scores} \\
        --sequences ${sequences}
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
    touch ${prefix}/report.html
    touch ${prefix}/manifest.json
    """
}
