#!/usr/bin/env python3
"""Writes a mix of recorded events in which process creations are most.

    benches/peers/mix.py --count 500000 --share 0.6 recordings/*.zip > mix.ndjson

Process creations (Sysmon 1, Security 4688) are taken again and again until they make that share, each
time with another number behind their command line, so that no engine meets the same values twice by
our doing; other events are taken every K-th, in the order of the recordings. Python's own library is
enough.
"""

import argparse
import importlib.util
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location("cluster", HERE.parent / "cluster.py")
cluster = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cluster)


def is_creation(event):
    channel = str(event.get("Channel", "")).lower()
    return (channel, str(event.get("EventID"))) in {
        ("microsoft-windows-sysmon/operational", "1"), ("security", "4688")}


def main():
    wants = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wants.add_argument("--count", type=int, default=500_000)
    wants.add_argument("--share", type=float, default=0.6)
    wants.add_argument("recordings", nargs="+")
    said = wants.parse_args()
    creations, others = [], []
    for line in cluster.lines(sorted(said.recordings)):
        line = line.strip()
        if not line.startswith("{"):
            continue
        # Taken apart only where it may be one.
        if '"EventID":1,' in line or '"EventID":4688' in line or '"EventID": 1,' in line or '"EventID": 4688' in line:
            event = json.loads(line)
            if is_creation(event):
                creations.append(event)
                continue
        others.append(line)
    many = int(said.count * said.share)
    rest = said.count - many
    step = max(len(others) // rest, 1)
    others = others[::step][:rest]
    every = max(said.count // len(others), 1) if others else said.count
    given = other = 0
    for number in range(said.count):
        if other < len(others) and number % every == every - 1 or given >= many:
            print(others[other])
            other += 1
            continue
        event, copy = creations[given % len(creations)], given // len(creations)
        given += 1
        if copy:
            event = dict(event)
            for key in ["CommandLine", "ParentCommandLine"]:
                if isinstance(event.get(key), str):
                    event[key] += f" {copy}"
        print(json.dumps(event, separators=(",", ":")))
        if other >= len(others) and given >= many:
            break
    print(f"{len(creations)} process creations, {given} written; {other} other events", file=sys.stderr)


main()
