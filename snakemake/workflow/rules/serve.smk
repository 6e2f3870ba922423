# One service for all sets: the model is loaded once, and a card is held by one process. It lives as long as they need it.
# Its output is a file that says that it answers, not its socket: the socket goes when the service ends, and that may be
# while Snakemake reads the times of its outputs.


rule serve:
    output:
        service("results/bioprune.ready"),
    log:
        "logs/serve.log",
    conda:
        "../envs/bioprune.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        gpu=config["gpus"],
    params:
        socket=SOCKET,
        placement=placement,
        queue=len(SETS),
    shell:
        "(until bioprune health unix://$PWD/{params.socket} 2> /dev/null; do kill -0 $$; sleep 0.1; done; touch {output}) &"
        # exec: it is to get the signal itself that ends it, and its process is the $$ above
        " exec bioprune serve --unix-socket {params.socket} --allow / --queue-length {params.queue}"
        " --data-dir results/.bioprune-jobs {params.placement} > {log} 2>&1"
