#!/usr/bin/env python3
"""Devices with every listed SunSpec model, encoded by pysunspec2 with random values, groups and scale factors, served by pymodbus.

sunspec_all.py FOLDER UNIT…   prints "ready PORT"; FOLDER/UNIT has what pysunspec2 says that each point is: {"160.module[2].DCW": …},
null where it is not implemented. The unit is the seed."""
import asyncio
import json
import random
import string
import struct
import sys

import sunspec2.device
from pymodbus.datastore import ModbusServerContext
from pymodbus.server import ModbusTcpServer

from serve import device

LISTED = [1, 101, 102, 103, 111, 112, 113, 120, 121, 122, 123, 124, 125, 126, 160, 201, 202, 203, 204, 211, 212, 213, 214,
          *range(701, 716), 802, 803, 804, 805]
BITS = {"int16": 16, "uint16": 16, "enum16": 16, "bitfield16": 16, "acc16": 16, "count": 16, "int32": 32, "uint32": 32,
        "enum32": 32, "bitfield32": 32, "acc32": 32, "int64": 64, "uint64": 64, "bitfield64": 64, "acc64": 64, "ipaddr": 32}


def some(rng, point):
    kind = point["type"]
    if kind == "sunssf":
        return rng.randint(-4, 4)
    if kind == "string":
        return "".join(rng.choices(string.ascii_letters, k=rng.randint(1, 2 * point["size"])))
    if kind in ("float32", "float64"):
        return rng.choice([None, struct.unpack(">f", struct.pack(">f", rng.uniform(-1e6, 1e6)))[0]])
    # An accumulator's mark is 0, which psec takes for the beginning that it also is.
    if kind not in BITS or (not kind.startswith("acc") and rng.random() < 0.1):
        return None
    if kind.startswith("int"):
        return rng.randint(-(2 ** (BITS[kind] - 1)) + 1, 2 ** (BITS[kind] - 1) - 1)
    return rng.randint(1, min(2 ** BITS[kind] - 2, 2 ** 50))


def groups(model, counts):
    found = [g["count"] for g in model.get("groups", []) if isinstance(g.get("count"), str)]
    return counts.union(found, *(groups(g, counts) for g in model.get("groups", [])))


def fill(rng, group, counts):
    data = {}
    for p in group["points"]:
        if p["name"] in counts:
            data[p["name"]] = counts[p["name"]]
        elif p["name"] != "L" and not (p["name"] == "ID" and "value" in p):
            data[p["name"]] = some(rng, p)
    for g in group.get("groups", []):
        if "count" not in g:
            data[g["name"]] = fill(rng, g, counts)
        else:
            n = counts[g["count"]] if g["count"] else rng.randint(1, 3)
            data[g["name"]] = [fill(rng, g, counts) for _ in range(n)]
    return data


def model(rng, number):
    plain = sunspec2.device.get_model_def(number)["group"]
    counts = {name: rng.randint(1, 3) for name in sorted(groups(plain, set()))}
    made = sunspec2.device.Model(number, data={"ID": number, **fill(rng, plain, counts)})
    assert not made.error_info, made.error_info
    return made


def values(group, prefix, out):
    for name, p in group.points.items():
        if p.pdef["type"] not in ("sunssf", "pad"):
            out[prefix + name] = p.cvalue
    for name, g in group.groups.items():
        if isinstance(g, list):
            for i, one in enumerate(g):
                values(one, f"{prefix}{name}[{i + 1}].", out)
        else:
            values(g, f"{prefix}{name}.", out)


def build(seed):
    rng, regs, out = random.Random(seed), [0x5375, 0x6E53], {}
    for number in LISTED:
        m = model(rng, number)
        b = m.get_mb()
        regs += struct.unpack(f">{len(b) // 2}H", b)
        here = {}
        values(m, "", here)
        out.update({f"{number}.{k}": v for k, v in here.items() if k not in ("ID", "L")})
    return {"holding": {40000: regs + [0xFFFF, 0]}}, out


async def main():
    folder, *units = sys.argv[1:]
    devices = {}
    for u in units:
        image, said = build(int(u))
        devices[int(u)] = device(image)
        with open(f"{folder}/{u}", "w") as f:
            json.dump(said, f)
    server = ModbusTcpServer(ModbusServerContext(slaves=devices, single=False), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    print("ready", server.transport.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
