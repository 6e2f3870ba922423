# One service for all sets: the model is loaded once, and a card is held by one process. It lives as long as they need it.


rule serve:
    output:
        service("results/bioprune.sock"),
    log:
        "logs/serve.log",
    conda:
        "../envs/bioprune.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        gpu=config["gpus"],
    params:
        placement=placement,
        queue=len(SETS),
    shell:
        # exec: it is to get the signal itself that ends it
        "exec bioprune serve --unix-socket {output} --allow / --queue-length {params.queue}"
        " --data-dir results/.bioprune-jobs {params.placement} > {log} 2>&1"
