#!/usr/bin/env python3
"""Builds of Picket over the same rules and events, in turn, so that a machine whose speed changes
changes it for all: CPU seconds of whole processes, and the ratio of each to the first of its round.

    benches/pairs.py --rules sigma/rules/windows --rounds 20 events.ndjson before/picket target/release/picket

A build may be named with variables: `picket@MIMALLOC_ALLOW_THP=0`. Without blacklist and modules;
findings go to a file that is thrown away. Python's own library is enough.
"""

import argparse
import os
import statistics
import tempfile
import time


def measured(arguments, environment, out, cores):
    """CPU seconds, those of them in the system, wall seconds and peak MB."""
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        if cores:
            os.sched_setaffinity(0, cores)
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.execve(arguments[0], arguments, {**os.environ, **environment})
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{arguments[0]} ended with {status}")
    return used.ru_utime + used.ru_stime, used.ru_stime, time.monotonic() - begun, used.ru_maxrss / 1024


def main():
    wants = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wants.add_argument("--rules", required=True)
    wants.add_argument("--rounds", type=int, default=10)
    wants.add_argument("--cores", type=int, nargs="+", help="numbers of the cores to run on; all")
    wants.add_argument("events")
    wants.add_argument("builds", nargs="+", metavar="PICKET[@NAME=VALUE,..]")
    said = wants.parse_args()
    rows = {build: [] for build in said.builds}
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/modules")
        open(f"{folder}/none.txt", "w").close()
        scan = ["scan", os.path.abspath(said.events), "--rules", said.rules, "--modules", f"{folder}/modules",
                "--blacklist", f"{folder}/none.txt", "-o", "ndjson"]
        for number in range(said.rounds):
            # Who comes first changes, as the second finds the machine as the first left it.
            for build in said.builds[:: -1 if number % 2 else 1]:
                program, _, names = build.partition("@")
                environment = dict(name.split("=", 1) for name in names.split(",") if name)
                rows[build].append(measured([program, *scan], environment, f"{folder}/out", said.cores))
    for build, all_of in rows.items():
        cpu, system, wall, peak = (statistics.median(column) for column in zip(*all_of))
        ratios = sorted(mine[0] / first[0] for mine, first in zip(all_of, rows[said.builds[0]]))
        print(f"{build}: {cpu:.2f} CPU s ({system:.2f} in the system), {wall:.2f} s, {peak:.0f} MB; "
              f"{statistics.median(ratios):.3f} of the first ({ratios[0]:.2f} to {ratios[-1]:.2f})")


main()
