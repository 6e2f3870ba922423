"""DuckDB or polars selecting a hundredth of the scores: `select_peer.py duckdb|polars top-k|coverage SCORES OUT`.

`coverage` is the same rule as ours, its draw by another hash: the highest tenth is left out, the rest cut into 50
ranges of equal width, each of which gets, smallest first, its share of what is left; drawn inside a range at random.
"""

import sys

SHARE, EXCLUDED, STRATA = 0.01, 0.1, 50


def budgets(sizes, k):
    """How many of each stratum are drawn."""
    drawn, left = {}, k
    for done, (stratum, size) in enumerate(sorted(sizes, key=lambda pair: pair[1])):
        drawn[stratum] = min(size, left // (len(sizes) - done))
        left -= drawn[stratum]
    return drawn


def with_duckdb(strategy, scores, out):
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 2; SET preserve_insertion_order = false; SET enable_progress_bar = false")
    table = f"read_parquet('{scores}')"
    n = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    k = int(n * SHARE)
    if strategy == "top-k":
        query = f"SELECT source, position, influence FROM {table} ORDER BY influence DESC LIMIT {k}"
    else:
        kept = n - int(n * EXCLUDED)
        cut = f"SELECT quantile_disc(influence, {(kept - 1) / (n - 1)}), min(influence) FROM {table}"
        high, low = connection.execute(cut).fetchone()
        stratum = f"least({STRATA - 1}, floor((influence - {low!r}) / {(high - low) / STRATA!r}))::INT"
        sizes = f"SELECT {stratum} AS stratum, count(*) FROM {table} WHERE influence <= {high!r} GROUP BY stratum"
        drawn = budgets(connection.execute(sizes).fetchall(), k)
        budget = "MAP {" + ", ".join(f"{stratum}: {count}" for stratum, count in drawn.items()) + "}"
        query = f"""SELECT source, position, influence FROM (
            SELECT source, position, influence, {stratum} AS stratum,
                row_number() OVER (PARTITION BY stratum ORDER BY hash(record_hash)) AS rank
            FROM {table} WHERE influence <= {high!r}) WHERE rank <= {budget}[stratum]"""
    connection.execute(f"COPY ({query}) TO '{out}' (DELIMITER '\t', HEADER false)")


def with_polars(strategy, scores, out):
    import polars as pl

    frame = pl.scan_parquet(scores)
    picked = [pl.col("source"), pl.col("position"), pl.col("influence")]
    collect = lambda lazy: lazy.collect(engine="streaming")
    n = collect(frame.select(pl.len())).item()
    k = int(n * SHARE)
    if strategy == "top-k":
        chosen = frame.select(picked).top_k(k, by="influence")
    else:
        kept = n - int(n * EXCLUDED)
        influence = pl.col("influence")
        cut = influence.quantile((kept - 1) / (n - 1), "nearest").alias("high"), influence.min().alias("low")
        high, low = collect(frame.select(cut)).row(0)
        stratum = ((influence - low) / ((high - low) / STRATA)).floor().cast(pl.Int32).clip(upper_bound=STRATA - 1)
        rest = frame.filter(influence <= high).with_columns(stratum.alias("stratum"))
        drawn = budgets(collect(rest.group_by("stratum").len()).rows(), k)
        rank = pl.col("record_hash").hash().rank("ordinal").over("stratum")
        budget = pl.col("stratum").replace_strict(drawn, return_dtype=pl.UInt32)
        chosen = rest.filter(rank <= budget).select(picked)
    collect(chosen).write_csv(out, separator="\t", include_header=False)


{"duckdb": with_duckdb, "polars": with_polars}[sys.argv[1]](*sys.argv[2:])
