"""A whole process, measured; and the scan by which builds and engines are compared. For the scripts
beside it: does nothing by itself."""

import os
import time


def measured(arguments, out, cores=None, environment=None):
    """CPU seconds, those of them in the system, wall seconds and peak MB; what it prints goes to a file."""
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        if cores:
            os.sched_setaffinity(0, cores)
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.execvpe(arguments[0], arguments, {**os.environ, **(environment or {})})
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{arguments[0]} ended with {status}")
    return used.ru_utime + used.ru_stime, used.ru_stime, time.monotonic() - begun, used.ru_maxrss / 1024


def scan(picket, events, rules, folder):
    """The arguments of a scan without blacklist and modules; the folder is an empty one."""
    os.makedirs(f"{folder}/modules", exist_ok=True)
    open(f"{folder}/none.txt", "w").close()
    return [picket, "scan", os.path.abspath(events), "--rules", rules, "--modules", f"{folder}/modules",
            "--blacklist", f"{folder}/none.txt", "-o", "ndjson"]
