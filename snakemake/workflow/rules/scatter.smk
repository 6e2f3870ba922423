# A set in shards: curvature and scores in many tasks, one selection.


scattergather:
    shards=config["shards"],


rule curvature_shard:
    input:
        sequences=sequences,
        model=MODEL,
    output:
        temp("results/{sample}/shards/{scatteritem}.safetensors"),
    log:
        "logs/curvature/{sample}/{scatteritem}.log",
    conda:
        "../envs/bioprune.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        gpu=config["gpus"],
    params:
        shard=shard,
        options=f"{OBJECTIVE} {SAMPLE}",
        model=model,
        placement=placement,
    shell:
        "bioprune curvature {input.sequences} --shard {params.shard} {params.options} {params.model}"
        " {params.placement} --output {output} > {log} 2>&1"


rule merge_curvature:
    input:
        gather.shards("results/{{sample}}/shards/{scatteritem}.safetensors"),
    output:
        "results/{sample}/curvature.safetensors",
    log:
        "logs/merge_curvature/{sample}.log",
    conda:
        "../envs/bioprune.yaml"
    shell:
        "bioprune merge {input} --output {output} > {log} 2>&1"


rule score_shard:
    input:
        sequences=sequences,
        curvature="results/{sample}/curvature.safetensors",
        model=MODEL,
    output:
        temp("results/{sample}/shards/{scatteritem}.parquet"),
    log:
        "logs/score/{sample}/{scatteritem}.log",
    conda:
        "../envs/bioprune.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        gpu=config["gpus"],
    params:
        shard=shard,
        options=f"{OBJECTIVE} {SCORE}",
        model=model,
        placement=placement,
    shell:
        "bioprune score {input.sequences} --curvature {input.curvature} --shard {params.shard}"
        " {params.options} {params.model} {params.placement} --output {output} > {log} 2>&1"


rule merge_scores:
    input:
        gather.shards("results/{{sample}}/shards/{scatteritem}.parquet"),
    output:
        "results/{sample}/scores.parquet",
    log:
        "logs/merge_scores/{sample}.log",
    conda:
        "../envs/bioprune.yaml"
    shell:
        "bioprune merge {input} --output {output} > {log} 2>&1"


rule select:
    input:
        scores="results/{sample}/scores.parquet",
        sequences=sequences,
        groups=groups,
    output:
        coreset="results/{sample}/coreset.fa.gz",
        selected="results/{sample}/selected.tsv",
        confounds="results/{sample}/confounds.tsv",
        report=report(
            "results/{sample}/report.html",
            caption="../report/coreset.rst",
            category="Coresets",
            labels={"sample": "{sample}"},
        ),
        manifest="results/{sample}/manifest.json",
    log:
        "logs/select/{sample}.log",
    conda:
        "../envs/bioprune.yaml"
    resources:
        mem_mb=4000,
    params:
        keep=config["keep"],
        options=STRATEGY,
        groups=groups_option,
        directory=subpath(output.coreset, parent=True),
    shell:
        "bioprune select {input.scores} --sequences {input.sequences} --keep {params.keep}"
        " {params.options} {params.groups} --output {params.directory} > {log} 2>&1"
