#!/usr/bin/env python3
"""Picket and rsigma over the same rules and events: events a CPU second of whole processes, side by side.

    cargo build --release --manifest-path benches/peers/Cargo.toml
    benches/peers/compare.py --picket target/release/picket --rules sigma/rules/windows events.ndjson

Loading the rules and writing the findings are part of it. Both write to a file that is thrown away
but in the first round, whose findings are counted by rule. Picket runs without blacklist and modules;
rsigma as benches/peers/src/main.rs says. Picket uses all cores, rsigma one: CPU seconds tell, and
Picket's seconds of the wall clock on one core and on all are shown too. Python's own library is
enough.
"""

import argparse
import collections
import json
import os
import pathlib
import statistics
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from measured import measured, scan


def main():
    wants = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wants.add_argument("--picket", required=True)
    wants.add_argument("--peer", default=str(HERE / "target/release/peers"))
    wants.add_argument("--rules", required=True)
    wants.add_argument("--rounds", type=int, default=3)
    wants.add_argument("events", nargs="+", help="NDJSON, plain")
    said = wants.parse_args()
    for file in said.events:
        with open(file, "rb") as events:
            count = sum(chunk.count(b"\n") for chunk in iter(lambda: events.read(1 << 20), b""))
        print(f"{file}: {count} events, {os.path.getsize(file) / 1e6:.0f} MB", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            one = scan(os.path.abspath(said.picket), file, said.rules, folder)
            other = [said.peer, said.rules, file]
            rows = collections.defaultdict(list)
            for _ in range(said.rounds):
                rows["Picket"].append(measured(one, f"{folder}/picket"))
                rows["rsigma"].append(measured(other, f"{folder}/peer"))
                rows["Picket, one core"].append(measured(one, f"{folder}/alone", {0}))
            for name, all_of in rows.items():
                cpu, _, wall, peak = (statistics.median(column) for column in zip(*all_of))
                print(f"  {name}: {cpu:.1f} CPU s, {count / cpu:.0f} events a CPU second, "
                      f"{wall:.1f} s, {peak:.0f} MB", flush=True)
            for name in ["Picket", "Picket, one core"]:
                ratios = [peer[0] / mine[0] for mine, peer in zip(rows[name], rows["rsigma"])]
                print(f"  rsigma / {name}, CPU seconds:", " ".join(f"{ratio:.2f}" for ratio in ratios))
            cores = [alone[2] / mine[2] for mine, alone in zip(rows["Picket"], rows["Picket, one core"])]
            print("  one core / all, wall:", " ".join(f"{ratio:.2f}" for ratio in cores))
            mine = collections.Counter(json.loads(line)["rule_id"] for line in open(f"{folder}/picket"))
            peer = collections.Counter(line.rstrip("\n").split("\t")[1] for line in open(f"{folder}/peer"))
            print(f"  findings: Picket {mine.total()}, rsigma {peer.total()}; "
                  f"only Picket {(mine - peer).total()}, only rsigma {(peer - mine).total()}", flush=True)
            for rule, number in (mine - peer).most_common(5):
                print(f"    only Picket: {number} of {rule}")
            for rule, number in (peer - mine).most_common(5):
                print(f"    only rsigma: {number} of {rule}")


main()
