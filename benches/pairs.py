#!/usr/bin/env python3
"""Builds of Picket over the same rules and events, in turn, so that a machine whose speed changes
changes it for all: CPU seconds of whole processes, and the ratio of each to the first of its round.

    benches/pairs.py --rules sigma/rules/windows --rounds 20 events.ndjson before/picket target/release/picket

A build may be named with variables: `picket@MIMALLOC_ALLOW_THP=0`. Without blacklist and modules;
findings go to a file that is thrown away. Python's own library is enough.
"""

import argparse
import statistics
import tempfile

from measured import measured, scan


def main():
    wants = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wants.add_argument("--rules", required=True)
    wants.add_argument("--rounds", type=int, default=10)
    wants.add_argument("--core", type=int, action="append", help="run on that one alone; repeatable; all")
    wants.add_argument("events")
    wants.add_argument("builds", nargs="+", metavar="PICKET[@NAME=VALUE,..]")
    said = wants.parse_args()
    rows = {build: [] for build in said.builds}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(said.rounds):
            # Who comes first changes, as the second finds the machine as the first left it.
            for build in said.builds[:: -1 if number % 2 else 1]:
                program, _, names = build.partition("@")
                environment = dict(name.split("=", 1) for name in names.split(",") if name)
                arguments = scan(program, said.events, said.rules, folder)
                rows[build].append(measured(arguments, f"{folder}/out", said.core, environment))
    for build, all_of in rows.items():
        cpu, system, wall, peak = (statistics.median(column) for column in zip(*all_of))
        ratios = sorted(mine[0] / first[0] for mine, first in zip(all_of, rows[said.builds[0]]))
        print(f"{build}: {cpu:.2f} CPU s ({system:.2f} in the system), {wall:.2f} s, {peak:.0f} MB; "
              f"{statistics.median(ratios):.3f} of the first ({ratios[0]:.2f} to {ratios[-1]:.2f})")


main()
