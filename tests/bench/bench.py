#!/usr/bin/python3
"""Runs the benchmark cases: every contender of a case in turn, several rounds, medians. See run.sh."""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases_blob  # noqa: E402
import cases_line  # noqa: E402
import cases_push  # noqa: E402
import cases_scale  # noqa: E402
import cases_state  # noqa: E402
import cases_store  # noqa: E402
import kit  # noqa: E402

MODULES = (cases_blob, cases_line, cases_state, cases_store, cases_scale, cases_push)
CASES = {f"{case.__module__[6:]}.{case.__name__}": case for module in MODULES for case in module.CASES}


def run_case(name, case, arguments):
    bench = kit.Bench(arguments.quick)
    try:
        contenders, size = case(bench)
        if arguments.only:
            contenders = {k: v for k, v in contenders.items() if any(word in k for word in arguments.only)}
        samples = {contender: [] for contender in contenders}
        for _ in range(arguments.rounds):
            for contender, measure in contenders.items():
                samples[contender].append(measure())
        rows = {}
        for contender, taken in samples.items():
            middle = lambda field, of=taken: statistics.median(getattr(sample, field) for sample in of)
            rows[contender] = {field: middle(field) for field in
                               ("seconds", "cpu_s", "rss_kb", "sent_bytes", "first_byte_s")}
            rows[contender]["all_seconds"] = [round(sample.seconds, 3) for sample in taken]
        return {"case": name, "title": case.__doc__.strip(), "bytes": size, "rounds": arguments.rounds,
                "load": os.getloadavg()[0], "rows": rows}
    finally:
        bench.close()


def commit():
    """Of the tree, with a mark where it was changed since."""
    found = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=7"], cwd=pathlib.Path(__file__).parent,
                           check=False, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def show(result):
    print(f"\n{result['title']} ({result['bytes'] / 1e6:.0f} MB, {result['rounds']} rounds, load {result['load']:.1f})")
    ours = result["rows"].get("pullama", {}).get("seconds", 0)
    for contender, row in sorted(result["rows"].items(), key=lambda item: item[1]["seconds"]):
        gib = (result["bytes"] or 1 << 30) / (1 << 30)
        ratio = f"{row['seconds'] / ours:6.2f}x" if ours else ""
        print(f"  {contender:32} {row['seconds']:8.3f} s {ratio}  {row['cpu_s'] / gib:6.2f} CPU s/GiB"
              f"  {row['rss_kb'] / 1024:6.1f} MiB  {row['all_seconds']}"
              + (f"  {row['sent_bytes'] / 1e6:.1f} MB twice" if row["sent_bytes"] else ""), flush=True)


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidies
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small data, one round: shows that it runs, not how fast")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", action="append", help="only the cases whose name contains this")
    parser.add_argument("--only", action="append", help="only the contenders whose name contains this")
    parser.add_argument("--json", type=pathlib.Path, help="where the figures go, for report.py; those of other cases stay there")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds = 1
    chosen = {n: c for n, c in CASES.items() if not arguments.case or any(word in n for word in arguments.case)}
    if not chosen:
        sys.exit(f"bench.py: no such case; there are: {' '.join(CASES)}")
    begin, results = time.monotonic(), {}
    if arguments.json and arguments.json.exists():
        results = {result["case"]: result for result in json.loads(arguments.json.read_text())}
    for name, case in chosen.items():
        results[name] = {**run_case(name, case, arguments), "commit": commit()}
        show(results[name])
        if arguments.json:
            # In the order of the cases, whichever were measured first; written after each: a run may be ended.
            arguments.json.write_text(json.dumps([results[known] for known in CASES if known in results], indent=1))
    print(f"\nall in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
