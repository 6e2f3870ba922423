# The whole job of a set in one task.


rule prune:
    input:
        sequences=sequences,
        model=MODEL,
        groups=groups,
        server=SERVER,
    output:
        coreset="results/{sample}/coreset.fa.gz",
        selected="results/{sample}/selected.tsv",
        confounds="results/{sample}/confounds.tsv",
        scores="results/{sample}/scores.parquet",
        curvature="results/{sample}/curvature.safetensors",
        report=report(
            "results/{sample}/report.html",
            caption="../report/coreset.rst",
            category="Coresets",
            labels={"sample": "{sample}"},
        ),
        manifest="results/{sample}/manifest.json",
    log:
        "logs/prune/{sample}.log",
    conda:
        "../envs/bioprune.yaml"
    threads: 1 if SERVER else 8
    resources:
        mem_mb=8000,
        gpu=0 if SERVER else config["gpus"],
    params:
        keep=config["keep"],
        options=f"{OBJECTIVE} {SAMPLE} {SCORE} {STRATEGY}",
        model=model,
        groups=groups_option,
        placement=placement,
        directory=subpath(output.coreset, parent=True),
    shell:
        "bioprune prune {input.sequences} --keep {params.keep} {params.options} {params.model}"
        " {params.groups} {params.placement} --output {params.directory} > {log} 2>&1"
