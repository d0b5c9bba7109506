"""Training at 1, 10 and 100 million rows x 30 columns, on the CPU and on the GPU, in one run: a Markdown table.

`make bench-gpu` runs it; `--rows 1` is the short version. Every row of the table is a process of its own, so that its
peak of memory is its own. Rows that do not fit into `--memory` are read in batches, as in a real training.
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.training import TrainingSpec
from include.contracts.use_case import Resources, XGBoost
from include.training.device import gpus
from tests.model_world import DAYS, START, rows, spec

ROOT = Path(__file__).parents[2]
KINDS = 12
GROUP = 250_000
AGREE = 1e-3
"""How far the metrics of CPU and GPU may lie apart."""


def written_rows(given: TrainingSpec, path: Path, count: int, columns: int, seed: int = 0) -> TrainingSpec:
    """Write rows of numbers and one category over sixty days, a row group at a time; return the spec on them."""
    names = (*(f"x{number}" for number in range(columns - 1)), "kind")
    weights = np.random.default_rng(seed).normal(size=columns - 1) / np.sqrt(columns)
    writer = None
    for start in range(0, count, GROUP):
        table = _group(names, weights, start, min(GROUP, count - start), count, seed)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="none")
        writer.write_table(table)
    assert writer
    writer.close()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    new = {"uri": str(path), "digest": digest, "rows": count, "features": names, "categorical": ("kind",)}
    return given.model_copy(update={"training_set": given.training_set.model_copy(update=new)})


def _group(names: tuple[str, ...], weights: np.ndarray, start: int, size: int, count: int, seed: int) -> pa.Table:
    rng = np.random.default_rng([seed, start])
    numbers = rng.normal(size=(len(names) - 1, size)).astype(np.float32)
    kind = rng.integers(0, KINDS, size)
    score = 3 * (weights @ numbers + np.where(kind == 2, numbers[0], -numbers[1]))
    label = (score + rng.logistic(size=size) > 0).astype(np.int8)
    at = np.datetime64(START.replace(tzinfo=None), "us") + np.linspace(
        start, start + size, size, endpoint=False
    ).astype(np.int64) * (int(timedelta(days=DAYS).total_seconds() * 1e6) // count)
    frame = pl.DataFrame(dict(zip(names, numbers, strict=False))).with_columns(
        kind=pl.Series(kind).cast(pl.String), target=pl.Series(label), at=pl.Series(at).dt.replace_time_zone("UTC")
    )
    return frame.to_arrow()


def measure(path: Path) -> dict[str, Any]:
    """In a process of its own: load, bin and fit, and say what that took."""
    from include.training.data import load
    from include.training.engine import engine
    from include.training.fit import declared, fit, quantise
    from include.training.rows import streamed

    given = TrainingSpec.model_validate_json(path.read_text())
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        marks = [time.monotonic()]
        splits = load(given, Path(name))
        marks.append(time.monotonic())
        with engine(given, given.device, Path(name)) as grower:
            data = quantise(given, splits, grower)
            marks.append(time.monotonic())
            best = fit(given, data, declared(given)).best
            del data  # its files lie in the folder
        marks.append(time.monotonic())
    return {
        "rows": given.training_set.rows,
        "device": given.device,
        "how": "in batches" if streamed(given) else "held",
        "seconds": [after - before for before, after in pairwise(marks)],
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "auc": best,
    }


def _asked(folder: Path, given: TrainingSpec) -> dict[str, Any]:
    path = folder / "spec.json"
    path.write_text(given.model_dump_json())
    command = [sys.executable, "-m", "tests.benchmarks.bench_gpu", "--one", str(path)]
    env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{given.training_set.rows:,} rows on {given.device}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def table(found: list[dict[str, Any]], rounds: int) -> str:
    """The measurements as Markdown."""
    lines = [
        f"| rows | device | rows are | load s | bins s | {rounds} rounds s | M row-rounds/s | peak GiB | AUC |",
        "|--:|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for one in found:
        load, bins, fit = one["seconds"]
        rate = 0.6 * one["rows"] * rounds / fit / 1e6  # the share of the rows that teaches
        lines.append(
            f"| {one['rows']:,} | {one['device']} | {one['how']} | {load:.1f} | {bins:.1f} | {fit:.1f} | {rate:.1f} "
            f"| {one['peak'] / 2**30:.2f} | {one['auc']:.5f} |"
        )
    return "\n".join(lines)


def _compare(found: list[dict[str, Any]]) -> list[str]:
    """A line for each count of rows whose CPU and GPU metrics lie too far apart."""
    by: dict[int, list[float]] = {}
    for one in found:
        by.setdefault(one["rows"], []).append(one["auc"])
    return [
        f"{rows:,} rows: CPU and GPU differ by {max(v) - min(v):.5f}"
        for rows, v in by.items()
        if max(v) - min(v) > AGREE
    ]


def main() -> int:
    """Run what the command line asks for; 1 where CPU and GPU do not agree."""
    parser = argparse.ArgumentParser(prog="bench_gpu", description=__doc__)
    parser.add_argument("--rows", type=float, nargs="+", default=[1, 10, 100], help="in millions")
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--memory", type=int, help="GiB a training may take; half of what is free where not given")
    parser.add_argument("--out", type=Path, help="file for the table")
    parser.add_argument("--scratch", type=Path, help="folder on disk; 100 million rows take 13 GB and their bins 3")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one)))
        return 0
    memory = asked.memory or max(1, psutil.virtual_memory().available // (2 << 30))
    devices = ["cpu", "cuda"] if gpus() else ["cpu"]
    told = f"{gpus()} GPU visible" if gpus() else "no GPU is visible: nothing here was measured on a GPU"
    print(f"{platform.processor() or platform.machine()}, {asked.threads} threads, {memory} GiB; {told}\n", flush=True)
    found = []
    for millions in asked.rows:
        with tempfile.TemporaryDirectory(dir=asked.scratch) as name:
            folder = Path(name)
            base = spec(
                folder,
                rows(600),
                trainer=XGBoost(rounds=asked.rounds, early_stopping=asked.rounds),
                resources=Resources(cpu=asked.threads, memory=f"{memory}Gi"),
            )
            large = written_rows(base, folder / "rows.parquet", int(millions * 1e6), asked.columns)
            for device in devices:
                found.append(_asked(folder, large.model_copy(update={"device": device})))
                print(table(found[-1:], asked.rounds).splitlines()[-1], flush=True)
    apart = _compare(found)
    text = table(found, asked.rounds) + f"\n\n{told}.\n" + "".join(f"{line}\n" for line in apart)
    print(f"\n{text}")
    if asked.out:
        asked.out.write_text(text)
    return 1 if apart else 0


if __name__ == "__main__":
    raise SystemExit(main())
