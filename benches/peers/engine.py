"""bioprune beside PyTorch on a model of RNA-FM's size with random weights: `engine.py PROGRAM FOLDER [ROUNDS]`.

FOLDER holds what `cargo bench --bench models -- --write FOLDER` writes. Each contestant scores the same records; scores
must agree. Ratios are of the seconds of the work: loading the weights counts for nobody.
"""

import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# As the peer does: few records make few batches, and threads should end together.
BATCH = ["--max-batch-tokens", "1024"]
# The published procedure takes seconds a record.
FEW = 16
TOLERANCE = 1e-3
# Either rounds where the other does not.
BF16_TOLERANCE = 5e-2


class Peer:
    """A process that has loaded its weights and waits for its turn."""

    def __init__(self, script, *arguments):
        command = [sys.executable, os.path.join(HERE, script), *arguments]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.child.stdout.readline() == "ready\n", f"{script} does not start"

    def __call__(self):
        print(file=self.child.stdin, flush=True)
        answer = json.loads(self.child.stdout.readline())
        return answer["seconds"], answer["scores"]


class Bioprune:
    def __init__(self, program, folder, fasta, *options):
        self.scores = os.path.join(folder, "scores.tsv")
        model = os.path.join(folder, "model.safetensors")
        output = ["--json", "--quiet", "-o", self.scores]
        self.command, self.fasta = [program, "score", "--model", model, *output, *BATCH, *options], fasta
        # Without a curvature at hand the work is all that a job does but loading, for which a tiny job stands.
        self.loading = None
        if "--curvature" not in options:
            tiny = os.path.join(folder, "tiny.fa")
            with open(tiny, "w") as file:
                file.write(">one\nACGU\n")
            self.loading = statistics.median(self.run(tiny)["seconds"] for _ in range(5))

    def run(self, fasta):
        if os.path.exists(self.scores):
            os.remove(self.scores)
        return json.loads(subprocess.run([*self.command, fasta], check=True, capture_output=True).stdout)

    def __call__(self):
        told = self.run(self.fasta)
        scoring = told["tokens"] / told["tokens_per_second"]
        seconds = scoring if self.loading is None else told["seconds"] - self.loading
        with open(self.scores) as file:
            lines = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
        column = lines[0].index("influence")
        return seconds, [float(line[column]) for line in lines[1:]]


def first(fasta, records):
    """A file of the first records."""
    path = f"{fasta}.{records}"
    with open(fasta) as file, open(path, "w") as out:
        out.write("".join(">" + record for record in file.read().split(">")[1 : records + 1]))
    return path


def compare(name, records, ours, peer, rounds, tolerance=TOLERANCE):
    seconds, worst = ([], []), 0
    for _ in range(rounds):
        (mine, scores), (theirs, expected) = ours(), peer()
        seconds[0].append(mine)
        seconds[1].append(theirs)
        worst = max(worst, *(abs(a / b - 1) for a, b in zip(scores, expected, strict=True)))
    peer.child.kill()
    assert worst < tolerance, f"scores differ by {worst}"
    ratios = [theirs / mine for mine, theirs in zip(*seconds)]
    mine, theirs = (records / statistics.median(part) for part in seconds)
    ratio = f"{statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f}"
    print(f"| {name} | {ratio} | {mine:.2f} | {theirs:.3f} | {worst:.0e} |", flush=True)


def main():
    program, folder = map(os.path.abspath, sys.argv[1:3])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    model, fasta = os.path.join(folder, "model.safetensors"), os.path.join(folder, "records.fa")
    with open(fasta) as file:
        records = file.read().count(">")
    print("\n| peer | times as fast | in each round | bioprune, records/s | peer, records/s | scores differ by |")
    print("|---|---:|---:|---:|---:|---:|")
    with open("/proc/cpuinfo") as file:
        flags = file.read().split()
    precisions = {"f32": TOLERANCE}
    if "amx_bf16" in flags or "avx512_bf16" in flags:
        precisions["bf16"] = BF16_TOLERANCE
    for precision, tolerance in precisions.items():
        curvature = os.path.join(folder, f"curvature-{precision}.safetensors")
        how = ["--precision", precision, "--objective", "reconstruction"]
        estimate = [program, "curvature", fasta, "--model", model, "--sample", "all", "--quiet", *how, "-o", curvature]
        subprocess.run(estimate, check=True, stdout=subprocess.DEVNULL)
        how += ["--estimator", "plain", "--damping", "1e-8", "--curvature", curvature]
        ours = Bioprune(program, folder, fasta, *how)
        peer = Peer("closed_form.py", model, fasta, *([precision] if precision == "bf16" else []))
        compare(f"closed form, {precision}", records, ours, peer, rounds, tolerance)
    few = first(fasta, FEW)
    ours = Bioprune(program, folder, few, "--preset", "paper")
    published = lambda *options: Peer("published.py", model, few, *options)
    compare("published procedure, the gradient of one weight", FEW, ours, published(), min(rounds, 2))
    compare("published procedure, gradients of the whole model", FEW, ours, published("whole"), min(rounds, 2))


if __name__ == "__main__":
    main()
