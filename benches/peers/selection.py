"""Selecting a hundredth of scores in Parquet, beside DuckDB and polars: `selection.py PEERS_BENCH FOLDER [ROUNDS]`.

FOLDER holds `scores.parquet`. Everybody reads the same file and writes source, position and influence of the picks;
figures are of whole processes, the start of Python included.
"""

import os
import sys

from measure import interleaved, table

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    bench, folder = map(os.path.abspath, sys.argv[1:3])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    scores = os.path.join(folder, "scores.parquet")
    out = {name: os.path.join(folder, f"picks.{name}.tsv") for name in ("bioprune", "duckdb", "polars")}
    for strategy in ("top-k", "coverage"):
        contestants = {"bioprune": f"'{bench}' select '{scores}' {strategy} > '{out['bioprune']}'"}
        for name in ("duckdb", "polars"):
            script = os.path.join(HERE, "select_peer.py")
            contestants[name] = [sys.executable, script, name, strategy, scores, out[name]]
        rows = interleaved(contestants, rounds)
        picks = {name: sorted(open(path).read().splitlines()) for name, path in out.items()}
        places = {name: {line.split("\t")[1] for line in lines} for name, lines in picks.items()}
        ours = places["bioprune"]
        table(f"{strategy}: {len(ours):,} picks", rows)
        assert all(len(lines) == len(ours) for lines in picks.values()), {name: len(p) for name, p in picks.items()}
        if strategy == "top-k":  # ties aside, which are broken by place
            assert all(len(ours ^ others) <= len(ours) / 1000 for others in places.values())


if __name__ == "__main__":
    main()
