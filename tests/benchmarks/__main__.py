"""``python -m tests.benchmarks``: measure, print a table, keep it in ``_build/benchmarks.json``."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
from pathlib import Path

import torch

from . import criticality, engine, explorers, masking, percolation, studies, topology, training
from .harness import Result, table

CASES = [*engine.CASES, *studies.CASES, *training.CASES, *criticality.CASES, *topology.CASES, *percolation.CASES, *masking.CASES,
         *explorers.CASES]
OUTPUT = Path(__file__).resolve().parents[2] / "_build" / "benchmarks.json"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="Ratios measured side by side.")
    parser.add_argument("--only", default="", help="run the benchmarks whose name holds this text")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    arguments = parser.parse_args()
    chosen = [case for case in CASES if arguments.only.lower() in case.name.lower()]
    if not chosen:
        parser.error(f"no benchmark's name holds {arguments.only!r}; --list shows them")
    if arguments.list:
        print("\n".join(case.name for case in chosen))
        return
    print(f"{where()}\n")
    results = []
    for case in chosen:
        print(f"  {case.name} ...", end=" ", flush=True)
        results.append(case.measure())
        print(f"{results[-1].ratio:.3g} {results[-1].verdict}", flush=True)
    print(f"\n{table(results)}\n")
    save(results)


def where() -> str:
    versions = f"Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; {versions}"


def save(results: list[Result]) -> None:
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = [dataclasses.asdict(result) for result in results]
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps({"date": date, "where": where(), "results": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
