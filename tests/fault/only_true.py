#!/usr/bin/python3
"""Asks psecd for every value of the meters of liar.py, again and again, until SIGTERM; then looks at psec.db, too.

    only_true.py SITE_FOLDER METER…

Ends with 1 and what it saw when a value is none that an honest answer holds, or when psecd did not answer; else prints how often it
saw a value and how often none.
"""
import json
import signal
import socket
import sqlite3
import sys
import time

TRUE = {"power_w": range(1000, 1100), "power_l1_w": [500], "power_l2_w": [300], "power_l3_w": [200], "voltage_l1_v": [231.2],
        "voltage_l2_v": [230.8], "voltage_l3_v": [231.6], "current_l1_a": [2.0], "current_l2_a": [2.1], "current_l3_a": [1.2],
        "frequency_hz": [49.98], "import_wh": [50000], "export_wh": [70000]}
folder, meters = sys.argv[1], sys.argv[2:]
over = []
signal.signal(signal.SIGTERM, lambda *_: over.append(1))
seen = {"true": 0, "none": 0}


def judge(where, point, value):
    if value is None:
        seen["none"] += 1
    elif any(abs(value - t) < 1e-6 for t in TRUE[point.split(".")[-1]]):
        seen["true"] += 1
    else:
        sys.exit(f"{where}: {point} is {value}, which no honest answer holds")


class Peer:
    def __init__(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(folder + "/run/psecd.sock")
        self.file = s.makefile("rw")

    def ask(self, method, **params):
        self.file.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
        self.file.flush()
        return json.loads(self.file.readline()).get("result")


peer = Peer()
while not over:
    status = peer.ask("status")
    judge("status", "grid-meter.power_w", status["grid_w"])
    for d in status["devices"]:
        if d["name"] in meters and (d["make"], d["model"], d["serial"]) not in (("Liar", "Meter", "L-1"), ("", "", "")):
            sys.exit(f"status: {d['name']} has identity {d['make']} {d['model']} {d['serial']}")
    for name in meters:
        for p in peer.ask("device.read", device=name) or []:
            judge(f"device.read {name}", p["point"], p["value"])
    time.sleep(0.1)
db = sqlite3.connect(f"file:{folder}/state/psec.db?mode=ro", uri=True)
stored = db.execute("SELECT p.name, s.value FROM sample s JOIN point p ON p.id = s.point_id").fetchall()
of_meters = [(n, v) for n, v in stored if n.split(".")[0] in meters]
for name, value in of_meters:
    judge("psec.db", name, value)
if not (seen["true"] and seen["none"] and of_meters):
    sys.exit(f"too little was seen to say anything: {seen}, {len(of_meters)} stored")
print(json.dumps(seen | {"stored": len(of_meters)}))
