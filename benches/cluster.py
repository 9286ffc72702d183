#!/usr/bin/env python3
"""What a sweep costs on a real server, beside reading the same documents once and doing nothing.

    tests/servers/server start elasticsearch-8.19 9200 /tmp/es
    benches/cluster.py --picket target/release/picket --url http://127.0.0.1:9200 \\
        --rules sigma/rules/windows recordings/*.zip

Takes every K-th event of the recordings (NDJSON, plain or in a zip) until there are enough, makes
indices named `bench-*` of one shard and deletes them again, also `picket-findings` and
`.picket-state`: use a server that has nothing else. The server must be open, without TLS. Python's
own library is enough.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import tempfile
import time
import urllib.request
import zipfile

BULK = 2_000


def ask(url, method, path, body=None, kind="application/json"):
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"content-type": kind}, method=method)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return answer.read()


def lines(paths):
    for path in paths:
        if path.endswith(".zip"):
            with zipfile.ZipFile(path) as packed:
                for name in packed.namelist():
                    if name.endswith(".json"):
                        with packed.open(name) as file:
                            yield from io.TextIOWrapper(file, "utf-8", "replace")
        else:
            with open(path, encoding="utf-8", errors="replace") as file:
                yield from file


def events(paths, every, count):
    """Every so many-th event, as JSON texts; begun again with another field once they run out."""
    found = []
    for number, line in enumerate(lines(paths)):
        line = line.strip()
        if number % every == 0 and line.startswith("{") and line.endswith("}"):
            found.append(line)
            if len(found) == count:
                break
    return found


def fill(url, index, texts, mark=""):
    for start in range(0, len(texts), BULK):
        body = []
        for text in texts[start : start + BULK]:
            body.append('{"create":{}}')
            body.append(text[:-1] + f',"bench_copy":"{mark}"}}' if mark else text)
        answer = ask(url, "POST", f"/{index}/_bulk?filter_path=errors,items.*.error.type",
                     ("\n".join(body) + "\n").encode(), "application/x-ndjson")
        refused = sum(1 for item in json.loads(answer).get("items", []) if item)
        if refused:
            raise SystemExit(f"{refused} documents were refused")
    ask(url, "POST", f"/{index}/_refresh")


def make(url, index):
    # Text and keyword of everything, as Logstash's and Winlogbeat's templates do; no limits that
    # mixed recordings would meet.
    ask(url, "PUT", f"/{index}", {
        "settings": {"number_of_shards": 1, "number_of_replicas": 0,
                     "index.mapping.total_fields.limit": 20_000, "index.mapping.ignore_malformed": True},
        "mappings": {"date_detection": False, "numeric_detection": False, "dynamic_templates": [
            {"text": {"match_mapping_type": "string", "mapping": {"type": "keyword", "ignore_above": 1024}}},
            {"level": {"match": "AlertLevel", "mapping": {"type": "byte"}}},
            {"other": {"match_mapping_type": "long", "mapping": {"type": "keyword"}}}]}})


def clean(url):
    for name in ["bench-new", "bench-all", "bench-few", "picket-findings", ".picket-state"]:
        ask(url, "DELETE", f"/{name}?ignore_unavailable=true")


def server_cpu(url):
    nodes = json.loads(ask(url, "GET", "/_nodes/stats/process"))["nodes"].values()
    return sum(node["process"]["cpu"]["total_in_millis"] for node in nodes) / 1000


def drain(url, index):
    """Reads everything once: a point in time, pages of 5,000, whole sources."""
    pit = json.loads(ask(url, "POST", f"/{index}/_pit?keep_alive=5m"))["id"]
    after = None
    while True:
        body = {"size": 5_000, "pit": {"id": pit, "keep_alive": "5m"}, "sort": ["_shard_doc"],
                "track_total_hits": False}
        if after:
            body["search_after"] = after
        # Not taken apart, so that the drain is the server's time and the network's.
        answer = ask(url, "POST", "/_search", body)
        last = answer.rfind(b'"sort":[')
        if last < 0:
            break
        after = [int(answer[last + 8 : answer.index(b"]", last)])]
    ask(url, "DELETE", "/_pit", {"id": pit})


class Picket:
    def __init__(self, program, url, rules, folder):
        self.program, self.folder = os.path.abspath(program), folder
        paths = ", ".join(json.dumps(os.path.abspath(path)) for path in rules)
        with open(f"{folder}/picket.yml", "w", encoding="utf-8") as file:
            file.write(f"store:\n  elastic: {{ url: {json.dumps(url)} }}\n"
                       'sources:\n  - { name: bench, index: "bench-*" }\n'
                       'sweeps:\n  - { name: bench, schedule: "0 0 * * * *", sources: [bench] }\n')
            if paths:
                file.write(f"rules: [{paths}]\n")

    def sweep(self):
        """Wall seconds, CPU seconds, and the summary."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.monotonic()
        done = subprocess.run([self.program, "sweep"], cwd=self.folder, capture_output=True, text=True)
        wall = time.monotonic() - begun
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(f"the sweep ended with {done.returncode}: {done.stderr[-2000:]}")
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        text = (done.stdout + done.stderr).strip().splitlines()
        return wall, cpu, text[-1] if text else ""


def measured(url, what, call):
    """Prints wall seconds and the server's CPU seconds."""
    cpu, begun = server_cpu(url), time.monotonic()
    result = call()
    wall, cpu = time.monotonic() - begun, server_cpu(url) - cpu
    print(f"{what}: {wall:.1f} s, server {cpu:.1f} CPU s", flush=True)
    return wall, result


def main():
    wants = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wants.add_argument("--picket", required=True)
    wants.add_argument("--url", required=True)
    wants.add_argument("--rules", action="append", default=[])
    wants.add_argument("--every", type=int, default=7)
    wants.add_argument("--count", type=int, default=100_000)
    wants.add_argument("--rounds", type=int, default=3)
    wants.add_argument("--old", type=int, default=1_000_000, help="0 leaves out what is measured with old ones")
    wants.add_argument("recordings", nargs="+")
    said = wants.parse_args()
    url = said.url.rstrip("/")
    texts = events(sorted(said.recordings), said.every, said.count)
    size = sum(map(len, texts)) / 1e6
    print(f"{len(texts)} documents, {size:.0f} MB", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        picket = Picket(said.picket, url, said.rules, folder)
        ratios = []
        for _ in range(said.rounds):
            clean(url)
            make(url, "bench-new")
            measured(url, "fill", lambda: fill(url, "bench-new", texts))
            drain(url, "bench-new")  # So that neither finds the server's caches colder.
            raw, _ = measured(url, "drain", lambda: drain(url, "bench-new"))
            _, (wall, cpu, text) = measured(url, "sweep", picket.sweep)
            print(f"  Picket {cpu:.1f} CPU s; {text}", flush=True)
            ratios.append(wall / raw)
        print("sweep / drain:", " ".join(f"{ratio:.2f}" for ratio in ratios), flush=True)
        with open(f"{folder}/all.yml", "w", encoding="utf-8") as file:
            file.write("title: Everything\nid: 00000000-0000-4000-8000-000000000001\nlevel: high\n"
                       "logsource: {product: windows}\n"
                       "detection: {sel: {Channel|exists: true}, condition: sel}\n")
        clean(url)
        make(url, "bench-all")
        fill(url, "bench-all", texts[:20_000])
        raising = Picket(said.picket, url, [f"{folder}/all.yml"], folder)
        wall, (_, cpu, text) = measured(url, "sweep that writes on all of 20,000", raising.sweep)
        print(f"  Picket {cpu:.1f} CPU s; {text}; {20_000 / wall:.0f} documents a second", flush=True)
        picket = Picket(said.picket, url, said.rules, folder)
        if said.old:
            few = texts[: 10_000]
            clean(url)
            make(url, "bench-few")
            fill(url, "bench-few", few, "first")
            alone, (_, cpu, text) = measured(url, "sweep of 10,000 alone", picket.sweep)
            print(f"  Picket {cpu:.1f} CPU s; {text}", flush=True)
            for copy in range(said.old // len(texts)):
                fill(url, "bench-few", texts, str(copy))
            measured(url, f"sweep of {said.old} old", picket.sweep)
            fill(url, "bench-few", few, "second")
            among, (_, cpu, text) = measured(url, f"sweep of 10,000 among {said.old}", picket.sweep)
            print(f"  Picket {cpu:.1f} CPU s; {text}", flush=True)
            print(f"among / alone: {among / alone:.2f}", flush=True)
        clean(url)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak memory of Picket: {peak:.0f} MB")


if __name__ == "__main__":
    main()
