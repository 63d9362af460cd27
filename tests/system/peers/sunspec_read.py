#!/usr/bin/env python3
"""What pysunspec2, a reader that shares nothing with psec, makes of a device: JSON {"MODEL.POINT": value}, scale factors applied.

sunspec_read.py HOST PORT UNIT MODEL.POINT…"""
import json
import sys

import sunspec2.modbus.client as client

host, port, unit, *points = sys.argv[1:]
d = client.SunSpecModbusClientDeviceTCP(slave_id=int(unit), ipaddr=host, ipport=int(port), timeout=5)
d.scan()
out = {}
for name in points:
    model, point = name.split(".")
    out[name] = d.models[int(model)][0].points[point].cvalue
d.close()
print(json.dumps(out))
