#!/usr/bin/env python3
"""Cuts the demo's recordings from OTRF Security-Datasets.

Usage: cut.py FOLDER, where FOLDER holds the unpacked or cloned datasets (the zip files of
https://github.com/OTRF/Security-Datasets, anywhere below it). Writes the .ndjson.gz files beside
itself. Events are left out whole, as README.md says; none is changed, but for `Message`, which
repeats the other fields as prose and is dropped, and for record times that are a local clock's.
"""
import datetime
import gzip
import json
import pathlib
import re
import sys
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
SYSMON = "microsoft-windows-sysmon/operational"

# Target: (dataset, first time kept, first time no longer kept).
RECORDINGS = {
    "lateral-movement-wmi": ("empire_wmic_add_user_backdoor", "2020-09-14T12:05:50", "2020-09-14T12:06:20"),
    "lateral-movement-service": ("empire_shell_dcerpc_smb_service_dll_hijack", "2020-09-22T03:30:00", "2020-09-22T03:33:00"),
    "credential-theft-psexec": ("cmd_psexec_lsa_secrets_dump", "", "~"),
    "credential-theft-lsass": ("metasploit_procdump_lsass_memory_dump", "2023-08-15T05:34:40", "2023-08-15T05:38:10"),
}

# Bulk that no step of the stories is in: script engine traces, object handles, the filtering platform.
LEFT_OUT = {
    "windows powershell": {800},
    "microsoft-windows-powershell/operational": {4103, 4105, 4106},
    "security": {4656, 4658, 4663, 4690, 4703, 4673, 5154, 5156, 5158, 5447},
    SYSMON: {12},
}

# The rest of the cmd.exe history: recordings of people who worked in a cmd.exe window.
HISTORY = r"^(cmd_|psh_cmstp|wmic_remote|purplesharp|proxylogon|metasploit_|reg_cmd_)"


def events(folder, dataset):
    for archive in sorted(folder.rglob(dataset + ".zip")):
        with zipfile.ZipFile(archive) as members:
            for name in members.namelist():
                if name.endswith(".json") and not name.startswith("__MACOSX"):
                    for line in members.open(name):
                        if line.strip():
                            yield json.loads(line)
        return
    sys.exit(f"{dataset}.zip is not below {folder}")


def time(event):
    for field in ("@timestamp", "EventTime", "TimeCreated", "UtcTime"):
        if event.get(field):
            return str(event[field]).replace(" ", "T")
    return ""


def moment(text):
    text = str(text).replace("T", " ").rstrip("Z")
    return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S")


def to_utc(kept):
    """Shifts the record times by what Sysmon's own UtcTime says that they are off, in quarters of an hour."""
    quarter = datetime.timedelta(minutes=15)
    apart = sorted(round((moment(e["UtcTime"]) - moment(time(e))) / quarter) for e in kept if e.get("UtcTime"))
    offset = apart[len(apart) // 2] * quarter
    for event in kept:
        event.pop("Message", None)
        for field in ("@timestamp", "TimeCreated"):
            if offset and event.get(field):
                event[field] = (moment(event[field]) + offset).isoformat(timespec="milliseconds") + "Z"


def is_kept(event, first, end):
    channel, number = str(event.get("Channel", "")).lower(), event.get("EventID")
    if not first <= time(event) < end or number in LEFT_OUT.get(channel, ()):
        return False
    if channel == SYSMON and number == 10:
        return str(event.get("TargetImage", "")).lower().endswith("\\lsass.exe")
    return True


def write(name, documents):
    text = "".join(json.dumps(d, ensure_ascii=False, separators=(",", ":")) + "\n" for d in documents)
    packed = gzip.compress(text.encode(), 9, mtime=0)
    (HERE / f"{name}.ndjson.gz").write_bytes(packed)
    print(f"{name}: {len(documents)} documents, {len(text)} bytes, {len(packed)} compressed")


def recording(folder, name):
    dataset, first, end = RECORDINGS[name]
    whole = not first
    kept = [e for e in events(folder, dataset) if whole or is_kept(e, first, end)]
    to_utc(kept)
    write(name, kept)


def history(folder):
    """Command lines whose parent is a cmd.exe that a person typed into: one that was given no command."""
    lines = {}
    for archive in sorted(folder.rglob("*.zip")):
        if not re.match(HISTORY, archive.stem):
            continue
        for event in events(folder, archive.stem):
            if str(event.get("Channel", "")).lower() != SYSMON or event.get("EventID") != 1:
                continue
            parent = str(event.get("ParentCommandLine", ""))
            typed = re.search(r"(?i)(?:^|\\)cmd(?:\.exe)?\"?\s*$", parent)
            command = str(event.get("CommandLine", "")).strip()
            if typed and "conhost.exe" not in command.lower():
                user = event["User"].split("\\")[-1]
                lines[(event["UtcTime"][:19], event["Hostname"], user, command)] = None
    write("cmdlogs", [
        {"Hostname": host, "Username": user, "command": command, "timestamp": at, "AlertLevel": 0, "Ignore": 0}
        for at, host, user, command in sorted(lines)
    ])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    folder = pathlib.Path(sys.argv[1])
    for name in RECORDINGS:
        recording(folder, name)
    history(folder)


if __name__ == "__main__":
    main()
