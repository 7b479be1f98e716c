"""Writes one table as pandas, polars, pyarrow and DuckDB write it, in the formats and compressions that they have.

    python golden/make_tables.py crates/data/tests/tables

Made with pandas 3.1.1, polars 2.1.0, pyarrow 26.0.1 and DuckDB 2.0.1. The tests read all files and expect the same rows.
"""

import gzip
import json
import sys
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

MARKET = [
    'Bei ya mahindi imepanda sokoni leo, asema "mkulima"',
    "bei ya nyanya sokoni;\nkilo moja",
    "soko la samaki lina bei nzuri",
    "bei ya mchele imeshuka sokoni",
    "mkulima anauza mahindi sokoni",
    "bei za mboga sokoni zimepanda",
]
TALES = [
    "the old king lived in a house — long ago",
    "an old king had three sons 😀",
    "the king and the queen lived happily",
    "a young prince met the old king",
    "the old queen told a tale",
    "long ago a king lived in the forest",
]


def rows():
    for number, (market, tale) in enumerate(zip(MARKET, TALES)):
        for offset, (text, lang) in enumerate([(market, "sw"), (tale, "en")]):
            yield {
                "id": 9_007_199_254_740_993 + 2 * number + offset,
                "text": text,
                "lang": lang,
                "score": 0.25 * number + 1.0,
                "label": offset,
            }


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = list(rows())
    path = lambda name: str(folder / name)

    frame = pd.DataFrame(table)
    frame.to_csv(path("pandas.csv"), index=False)
    frame.to_csv(path("pandas.tsv"), index=False, sep="\t")
    frame.to_csv(path("pandas_semicolon.csv"), index=False, sep=";")
    frame.to_json(path("pandas.jsonl"), orient="records", lines=True, force_ascii=False)
    frame.to_json(path("pandas.json"), orient="records", indent=1)
    frame.to_json(path("pandas.jsonl.gz"), orient="records", lines=True)
    frame.to_parquet(path("pandas.parquet"), index=False)
    frame.astype({"lang": "category"}).to_parquet(path("pandas_category.parquet"), index=False)

    frame = pl.DataFrame(table)
    frame.write_csv(path("polars.csv"))
    frame.write_csv(path("polars.tsv"), separator="\t")
    frame.write_ndjson(path("polars.ndjson"))
    frame.write_parquet(path("polars.parquet"))
    for compression in ["lz4", "gzip", "brotli", "uncompressed"]:
        frame.write_parquet(path(f"polars_{compression}.parquet"), compression=compression, row_group_size=5)

    arrow = pa.Table.from_pylist(table)
    pq.write_table(arrow, path("pyarrow.parquet"))
    for compression in ["zstd", "brotli", "gzip", "lz4", "snappy"]:
        name = path(f"pyarrow_2_{compression}.parquet")
        pq.write_table(arrow, name, compression=compression, data_page_version="2.0", row_group_size=7)
    large = arrow.set_column(1, "text", arrow["text"].cast(pa.large_string()))
    large = large.set_column(4, "label", arrow["label"].cast(pa.int8()))
    pq.write_table(large, path("pyarrow_large.parquet"), compression="zstd", use_dictionary=False)

    connection = duckdb.connect()
    connection.register("rows", arrow)
    connection.execute(f"COPY rows TO '{path('duckdb.csv')}' (HEADER)")
    connection.execute(f"COPY rows TO '{path('duckdb.tsv')}' (HEADER, DELIMITER '\t')")
    connection.execute(f"COPY rows TO '{path('duckdb.jsonl')}' (FORMAT json)")
    connection.execute(f"COPY rows TO '{path('duckdb.json')}' (FORMAT json, ARRAY true)")
    connection.execute(f"COPY rows TO '{path('duckdb.parquet')}' (FORMAT parquet)")
    for compression in ["zstd", "brotli", "gzip", "lz4_raw"]:
        name = path(f"duckdb_{compression}.parquet")
        connection.execute(f"COPY rows TO '{name}' (FORMAT parquet, COMPRESSION {compression}, PARQUET_VERSION V2)")

    with gzip.open(path("gzip.csv.gz"), "wb") as out:
        out.write(Path(path("pandas.csv")).read_bytes())
    with open(path("python.json"), "w", encoding="utf-8-sig") as out:
        json.dump(table, out)


main(Path(sys.argv[1]))
