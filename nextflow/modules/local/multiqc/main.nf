process MULTIQC {
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container 'multiqc/multiqc:v1.35'

    input:
    path files, stageAs: 'statistics/*'
    path config

    output:
    path 'multiqc_report.html', emit: report
    path 'multiqc_report_data', emit: data
    tuple val("${task.process}"), val('multiqc'), eval("multiqc --version | sed 's/.* //'"), emit: versions_multiqc

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    """
    multiqc ${args} --force --filename multiqc_report.html --config ${config} statistics
    """

    stub:
    """
    touch multiqc_report.html
    mkdir multiqc_report_data
    """
}
