"""A peer for the commands that ask psecd: JSON-RPC on a Unix socket, from the protocol's description and without a line of psec's.

    fake_psecd.py SOCKET LOG [KIND:TEXT]     answers from the object below; every request is a line of LOG
                                             KIND:TEXT: every request is refused with that
"""
import copy
import json
import os
import socket
import sys
import threading

STATUS = {
    "site": {"id": "hill-7", "tier": "sim"}, "mode": "self-consumption", "state": "running", "clamp": "bms-charge-limit",
    "clamp_words": "the BMS allows no more charge", "wish_w": -3400.0, "setpoint_w": -2634.0, "shown_w": -2634.0, "load_w": 1800.0,
    "grid_w": 1234.0, "battery_w": -2634.0, "pv_w": 3200.0, "soc_percent": 52.3, "lost": [], "lost_words": "",
    "checked": {"at_utc": "2026-10-01T11:58:00.000Z", "result": "passed", "before_w": 812.0, "after_w": 318.0},
    "envelope": {"target_w": 0.0, "manual_w": 0.0, "expires_in_ms": 9000}, "sample_to_wire_us": 812, "age_ms": 120,
    "model": {"profile": {"dead_time_ms": 300.0, "lag_ms": 700.0, "ramp_w_per_s": None}, "learned": {
        "dead_time_ms": 412.0, "lag_ms": 655.4, "ramp_w_per_s": None}, "steps": 12, "unjudged": 3, "confidence_percent": 90.0},
    "guard": {"state": "acting", "level": 1, "since_utc": "2026-10-01T11:59:30.000Z", "swing_w": 1900.0, "period_s": 6.5,
              "why": "the grid swung around the target and no load explains it"},
    "devices": [
        {"name": "meter", "profile": "sunspec-meter", "address": "tcp://127.0.0.11:1502#1", "state": "live", "why": "",
         "rate_hz": 10.0, "latency_us": 900, "reads": 100, "timeouts": 0, "garbled": 0, "exceptions": 0, "model": "M", "serial": "1"},
        {"name": "battery", "profile": "sunspec-storage", "address": "tcp://127.0.0.12:1502#1", "state": "lost", "roles": ["battery-inverter"],
         "why": "no answer\u001b[2J for 3 s", "rate_hz": 0.0, "latency_us": None, "reads": 9, "timeouts": 3, "garbled": 0,
         "exceptions": 0, "model": "B", "serial": "2"},
    ],
    "events": [{"id": i, "utc": "2026-10-01T12:00:0%d.000Z" % i, "severity": "info", "kind": "mode", "subject": "",
                "text": "mode is number %d" % i, "who": "unix:anna"} for i in range(1, 6)],
    "protection": "", "utc": "2026-10-01T12:00:09.500Z",
}
DAEMON = {"daemon": {"version": "0.1.0", "uptime_s": 7325, "processes": [
    {"name": "psecd-core", "pid": 11, "state": "runs", "restarts": 0}, {"name": "psecd-field", "pid": 12, "state": "runs", "restarts": 2}]},
    "store": {"bytes": 12300000, "samples": 4711, "events": 17}}
if os.environ.get("DOUBTS"):
    STATUS["doubts"] = json.loads(os.environ["DOUBTS"])
NO_ERRORS = {"timeouts": 0, "closed": 0, "unreachable": 0, "crc_errors": 0, "other_unit": 0, "garbled": 0, "exceptions": {}}
LINE = {"line": "rtu:///dev/ttyS1?baud=9600&parity=even&stop=1", "serial": True, "busy_percent": 41.6, "asked": 900, "answered": 890,
        "silences": 6, "retries": 5, "crc_errors": 4, "foreign_frames": 21, "noise_bytes": 3, "connects": 1,
        "second_master": "another master asks unit 3, function 3: 12 questions, 9 answers heard"}
METER = {"name": "meter", "address": "tcp://127.0.0.11:1502#1", "state": "live", "why": "", "wanted_hz": 10.0, "rate_hz": 9.98,
         "latency_p50_us": 900, "latency_p99_us": 2300, "latency_max_us": 9000, "reads": 100, "writes": 0, "connects": 1,
         "errors": NO_ERRORS, "tries": 0, "next_try_in_ms": None,
         "line": {**LINE, "line": "tcp://127.0.0.11:1502", "serial": False, "second_master": None}}
# Two pages, so that whoever reads only one is found out.
DEVICES = {0: {"devices": [METER], "next": 1}, 1: {"next": None, "devices": [
    {**METER, "name": "battery", "address": LINE["line"] + "#2", "state": "lost", "why": "no answer\u001b[2J in 400 ms", "rate_hz": 0.0,
     "errors": {**NO_ERRORS, "timeouts": 3, "other_unit": 1, "exceptions": {"illegal data address": 2}}, "tries": 4,
     "next_try_in_ms": 11200, "latency_p50_us": None, "latency_p99_us": None, "line": LINE},
    {**METER, "name": "bms", "address": LINE["line"] + "#3", "line": LINE}]}}
path, log = sys.argv[1], open(sys.argv[2], "a", buffering=1)
refusal = sys.argv[3].split(":", 1) if len(sys.argv) > 3 else None


def serve(conn):
    mode = {"mode": "off", "manual_w": 0.0, "target_w": 0.0}
    for text in conn.makefile():
        ask = json.loads(text)
        method, params = ask["method"], ask.get("params") or {}
        log.write(json.dumps([method, params]) + "\n")
        after, result = [], {}
        if method == "control.status":
            result = STATUS
        elif method == "devices":
            result = DEVICES[params.get("from", 0)]
        elif method == "status":
            result = {**STATUS, **DAEMON}
        elif method in ("control.mode", "control.set", "control.off"):
            result = mode = {**mode, **params, "mode": params.get("mode", "off" if method == "control.off" else "manual")}
            if "power_w" in params:
                mode["manual_w"] = params["power_w"]
        elif method == "control.check":
            after = [("check", {"passed": os.environ.get("CHECK") != "fails", "result": "the meter follows", "step_w": 500.0,
                                "before_w": 812.0, "after_w": 318.0})]
            result = {"started": True}
        elif method == "subscribe":
            for soc in (53.0, 54.0, 55.0):
                live = copy.deepcopy(STATUS)
                live["soc_percent"] = soc
                after.append(("live", live))
        answer = {"jsonrpc": "2.0", "id": ask["id"]}
        if refusal:
            answer["error"] = {"code": -32000, "message": refusal[1], "data": {"kind": refusal[0]}}
        else:
            answer["result"] = result
        lines = [answer] + [{"jsonrpc": "2.0", "method": topic, "params": p} for topic, p in after]
        conn.sendall("".join(json.dumps(line) + "\n" for line in lines).encode())


def quietly(conn):
    try:
        serve(conn)
    except OSError:
        pass


listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
print("ready", flush=True)
while True:
    threading.Thread(target=quietly, args=(listener.accept()[0],), daemon=True).start()
