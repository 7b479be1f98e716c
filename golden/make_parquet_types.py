"""Writes one Parquet file with a column of each type, with nulls, empty lists and nested lists.

    python golden/make_parquet_types.py crates/data/tests/parquet/types.parquet

Made with pyarrow 26.0.1. The tests read every cell.
"""

import datetime as dt
import sys
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = {
    "text": (pa.string(), ["moja", "mbili", "tatu"]),
    "nullable": (pa.large_string(), ["a", None, ""]),
    "int8": (pa.int8(), [-128, None, 127]),
    "uint32": (pa.uint32(), [4_294_967_295, 0, None]),
    "uint64": (pa.uint64(), [18_446_744_073_709_551_615, 0, None]),
    "half": (pa.float16(), [0.5, None, -2.0]),
    "single": (pa.float32(), [0.1, 1e-7, None]),
    "double": (pa.float64(), [0.1, 1e300, None]),
    "decimal9": (pa.decimal128(9, 2), [Decimal("-0.05"), Decimal("12345.60"), None]),
    "decimal18": (pa.decimal128(18, 0), [Decimal(-7), Decimal(10**17), None]),
    "decimal38": (pa.decimal128(38, 10), [Decimal("-1.5"), Decimal("12345678901234567890.0123456789"), None]),
    "decimal76": (pa.decimal256(76, 3), [Decimal(-(10**40)), Decimal("0.001"), None]),
    "truth": (pa.bool_(), [True, None, False]),
    "date": (pa.date32(), [dt.date(2024, 2, 29), None, dt.date(1969, 12, 31)]),
    "seconds": (pa.timestamp("ms"), [dt.datetime(2024, 2, 29, 1, 2, 3, 500_000), None, dt.datetime(1969, 12, 31)]),
    "utc": (pa.timestamp("us", "Africa/Nairobi"), [dt.datetime(2024, 2, 29, 1, 2, 3), None, dt.datetime(1970, 1, 1)]),
    "nanos": (pa.timestamp("ns"), [1_709_168_523_000_000_001, None, 0]),
    "time": (pa.time64("us"), [dt.time(1, 2), None, dt.time(0)]),
    "bytes": (pa.binary(), [b"x", None, b""]),
    "nothing": (pa.null(), [None, None, None]),
    "category": (pa.dictionary(pa.int32(), pa.string()), ["x", None, "x"]),
    "texts": (pa.list_(pa.string()), [["a", "b"], [], ["c"]]),
    "holes": (pa.list_(pa.string()), [["a", None], None, ["c"]]),
    "numbers": (pa.list_(pa.float32(), 2), [[0.5, 1.0], [2.0, 3.0], [4.0, 5.5]]),
    "nested": (pa.list_(pa.list_(pa.int32())), [[[1], [], [2, 3]], [None, [4, None]], []]),
    "record": (pa.struct({"x": pa.int32(), "y": pa.list_(pa.int32())}), [{"x": 1, "y": [1, 2]}, None, {"x": None, "y": []}]),
    "records": (pa.list_(pa.struct({"x": pa.list_(pa.int32())})), [[{"x": [1, 2]}, {"x": []}], [], None]),
    "map": (pa.map_(pa.string(), pa.int32()), [[("k", 1)], None, []]),
}


def main(path: str) -> None:
    table = pa.table({name: pa.array(values, of) for name, (of, values) in COLUMNS.items()})
    pq.write_table(table, path, compression="zstd", row_group_size=2, store_decimal_as_integer=True)


if __name__ == "__main__":
    main(sys.argv[1])
