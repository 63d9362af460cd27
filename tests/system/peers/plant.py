#!/usr/bin/env python3
"""A site that shares no code with psec: pymodbus serves it, pysunspec2 encodes its SunSpec models, the physics stand here.

usage: plant.py --host 127.60.1 --port 1502 --status FILE [--control FILE] [--load W] [--strangers]

  .11  SunSpec meter (1, 203)      .12  SunSpec storage inverter (1, 103, 120, 124, 802)      .13  SunSpec PV (1, 103)

--strangers adds what a scan meets besides (never a psec profile's register image: typed from the makers' documents):
  .14  Eastron SDM630, unit 1, input registers     .15  ABB B23 meter with FC 43/14, unit 2
  .16  exception 2 to everything                   .17  accepts and never answers
  .18  an SSH banner                               .19  closes at once
  .20  SunSpec meter that answers after 800 ms     .21  SunSpec inverter at base 0, unit 126
  .22  a gateway: SDM630s at units 1 and 3, exception 11 for the others
  .23  SunSpec meter that answers to every unit    .24  a device of no known kind with FC 43/14
  .25  a gateway with nobody behind it: exception 11 for every unit
  .40 .41 .42  exception 1 to every question, and closes after each; their connections' times stand in the truth

Prints one line "ready" when all listen. Writes its truth as JSON to FILE ten times a second: grid, battery, load, energies,
and how often a register was written, by host. Reads "load W", "pv W", "sign -1", "deaf 1" lines from the control file when it changes.
"""
import argparse, asyncio, json, os, struct, sys, time

from pymodbus.datastore import ModbusServerContext, ModbusSlaveContext, ModbusSparseDataBlock
from pymodbus.server import ModbusTcpServer
import sunspec2.device as sunspec

writes = {}
connections = []


class Block(ModbusSparseDataBlock):
    """Registers that note who writes; on_write sees the new values."""

    def __init__(self, host, values, delay=0.0, on_write=None):
        super().__init__(values, mutable=False)
        self.host, self.on_write, self.delay = host, on_write, delay
        writes.setdefault(host, 0)

    # pymodbus' context counts registers from 1.
    def validate(self, address, count=1):
        return super().validate(address - 1, count)

    def getValues(self, address, count=1):
        return super().getValues(address - 1, count)

    def setValues(self, address, values):
        address -= 1
        writes[self.host] += 1
        if not isinstance(values, (list, tuple)):
            values = [values]
        if self.on_write and not self.on_write(address, list(values)):
            return
        for i, v in enumerate(values):
            self.values[address + i] = v


def words(data):
    return list(struct.unpack(f">{len(data) // 2}H", data))


def model(mid, **points):
    m = sunspec.Model(mid)
    for name, value in points.items():
        m.points[name].value = value
    return m


def image(models, base=40000):
    """SunS, the models, the end; and where each model begins."""
    regs, at = {base: 0x5375, base + 1: 0x6E53}, {}
    a = base + 2
    for m in models:
        at[m.model_id] = a
        for w in words(m.get_mb()):
            regs[a] = w
            a += 1
    regs[a], regs[a + 1] = 0xFFFF, 0
    return regs, at


def common(mn, md, sn):
    return model(1, Mn=mn, Md=md, SN=sn, Vr="1.2", DA=1)


class Plant:
    """Grid = load - pv - battery. Inverter: 0.3 s dead time, 0.7 s lag. Meter: a value every 0.5 s, 0.1 s old."""

    def __init__(self, load):
        self.load, self.pv, self.battery = load, 0.0, 0.0
        self.setpoint, self.told, self.told_at = 0.0, [], time.monotonic()
        self.soc_wh, self.capacity_wh = 5000.0, 10000.0
        self.meter, self.shown, self.next_meter = 0.0, [], 0.0
        self.energy = dict(import_wh=0.0, export_wh=0.0, charge_wh=0.0, discharge_wh=0.0, load_wh=0.0, pv_wh=0.0)
        self.sign, self.deaf = 1, 0
        self.at = time.monotonic()

    @property
    def grid(self):
        return self.load - self.pv - self.battery

    def step(self):
        now = time.monotonic()
        while self.at + 0.01 <= now:
            self.at += 0.01
            while self.told and self.told[0][0] + 0.3 <= self.at:
                self.setpoint = self.told.pop(0)[1]
            want = 0.0 if self.at - self.told_at > 60 else self.setpoint
            want = max(-5000.0, min(5000.0, want))
            if (want > 0 and self.soc_wh <= 0) or (want < 0 and self.soc_wh >= self.capacity_wh):
                want = 0.0
            self.battery += (want - self.battery) * 0.01 / 0.7
            self.soc_wh -= self.battery * 0.01 / 3600 * (1 / 0.95 if self.battery > 0 else 0.95)
            e, h = self.energy, 0.01 / 3600
            e["import_wh"] += max(self.grid, 0) * h
            e["export_wh"] += max(-self.grid, 0) * h
            e["charge_wh"] += max(-self.battery, 0) * h
            e["discharge_wh"] += max(self.battery, 0) * h
            e["load_wh"] += self.load * h
            e["pv_wh"] += self.pv * h
            if self.at >= self.next_meter:
                self.next_meter = self.at + 0.5
                self.shown.append((self.at + 0.1, self.grid))
            while self.shown and self.shown[0][0] <= self.at:
                self.meter = self.shown.pop(0)[1]


# Where the points that move lie, after pysunspec2.
OFFSET = {(m, n): sunspec.Model(m).points[n].offset for m, names in (
    (103, ["W"]), (124, ["StorCtl_Mod", "OutWRte", "InWRte"]), (203, ["W", "WphA", "WphB", "WphC"]), (802, ["SoC"])) for n in names}


def s16(v):
    return int(round(v)) & 0xFFFF


class Site:
    def __init__(self, net, plant):
        self.plant = plant
        regs, at = image([common("Stranger", "Meter3", "SN-M-1"),
                          model(203, A_SF=-2, A=0, V_SF=-1, PhV=2300, PhVphA=2301, PhVphB=2299, PhVphC=2300, Hz_SF=-2, Hz=5000,
                                W_SF=0, W=0, WphA=0, WphB=0, WphC=0, TotWh_SF=0, TotWhImp=0, TotWhExp=0)])
        self.meter_at = at[203]
        self.meter = Block(f"{net}.11", regs)
        regs, at = image([common("Stranger", "Storage5", "SN-B-1"),
                          model(103, A_SF=-1, A=0, AphA=0, V_SF=-1, PhVphA=2300, PhVphB=2300, PhVphC=2300, W_SF=0, W=0,
                                Hz_SF=-2, Hz=5000, WH_SF=0, WH=0, TmpCab=35, Tmp_SF=0, St=4, Evt1=0, Evt2=0),
                          model(120, DERTyp=82, WRtg=5000, WRtg_SF=0, MaxChaRte=5000, MaxChaRte_SF=0, MaxDisChaRte=5000, MaxDisChaRte_SF=0,
                                WHRtg=10000, WHRtg_SF=0),
                          model(124, WChaMax=5000, WChaMax_SF=0, WChaGra=100, WDisChaGra=100, WChaDisChaGra_SF=0, StorCtl_Mod=0,
                                OutWRte=0, InWRte=0, InOutWRte_SF=-2, ChaState=5000, ChaState_SF=-2, ChaSt=6, ChaGriSet=1),
                          model(802, AHRtg=100, WHRtg=10000, WChaRteMax=5000, WDisChaRteMax=5000, SoC=500, SoC_SF=-1, V=512,
                                V_SF=-1, A=0, A_SF=-1, AChaMax=100, ADisChaMax=100, AMax_SF=0, AHRtg_SF=0, WHRtg_SF=0,
                                WChaDisChaMax_SF=0, State=3, W=0, W_SF=0)])
        self.storage_at = at
        self.storage = Block(f"{net}.12", regs, on_write=self.on_storage_write)
        regs, at = image([common("Stranger", "Sun5", "SN-P-1"),
                          model(103, A_SF=-1, A=0, AphA=0, V_SF=-1, PhVphA=2300, PhVphB=2300, PhVphC=2300, W_SF=0, W=0,
                                Hz_SF=-2, Hz=5000, WH_SF=0, WH=0, TmpCab=35, Tmp_SF=0, St=4, Evt1=0, Evt2=0)])
        self.pv_at = at[103]
        self.pv = Block(f"{net}.13", regs)

    def on_storage_write(self, address, values):
        p, a = self.plant, self.storage_at[124]
        if p.deaf:
            return False
        regs = dict(self.storage.values)
        regs.update({address + i: v for i, v in enumerate(values)})
        mode = regs[a + OFFSET[124, "StorCtl_Mod"]]
        out, inn = (((regs[a + OFFSET[124, n]] ^ 0x8000) - 0x8000) / 100 * 50 for n in ("OutWRte", "InWRte"))
        # Bit 0 bounds charging by InWRte, bit 1 discharging by OutWRte, percent of WChaMax; a negative bound forces.
        high = out if mode & 2 else 5000.0
        low = -inn if mode & 1 else -5000.0
        p.told.append((p.at, high if high < 0 else low if low > 0 else high if low == high else min(max(0.0, low), high)))
        p.told_at = p.at
        return True

    def show(self):
        p, m, s = self.plant, self.meter.values, self.storage.values
        m[self.meter_at + OFFSET[203, "W"]] = s16(p.sign * p.meter)
        for n in ("WphA", "WphB", "WphC"):
            m[self.meter_at + OFFSET[203, n]] = s16(p.sign * p.meter / 3)
        s[self.storage_at[103] + OFFSET[103, "W"]] = s16(p.battery)
        s[self.storage_at[802] + OFFSET[802, "SoC"]] = s16(1000 * p.soc_wh / p.capacity_wh)
        self.pv.values[self.pv_at + OFFSET[103, "W"]] = s16(p.pv)


def f32(v):
    return words(struct.pack(">f", v))


def sdm630(host):
    """Input registers of the SDM630 protocol document: voltages, currents, powers, total power, frequency, energies."""
    r = {a: 0 for a in range(0, 400)}
    for a, v in ((0, 230.1), (2, 229.8), (4, 230.4), (6, 1.5), (8, 1.4), (10, 1.6), (12, 345.0), (14, 322.0), (16, 368.0),
                 (52, 1035.0), (70, 49.98), (72, 1234.5), (74, 56.7)):
        r[a], r[a + 1] = f32(v)
    return ModbusSlaveContext(di=None, co=None, ir=Block(host, r), hr=ModbusSparseDataBlock({0: 0}, mutable=False))


async def raw(host, port, behave):
    async def on(reader, writer):
        try:
            await behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
    return await asyncio.start_server(on, host, port)


async def never(reader, writer):
    while await reader.read(300):
        pass


async def banner(reader, writer):
    writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    await writer.drain()
    await never(reader, writer)


async def goodbye(reader, writer):
    writer.close()


def adu(question, pdu):
    return question[:4] + struct.pack(">HB", len(pdu) + 1, question[6]) + pdu


def exceptions(code):
    async def behave(reader, writer):
        while True:
            head = await reader.readexactly(7)
            body = await reader.readexactly(struct.unpack(">H", head[4:6])[0] - 1)
            writer.write(adu(head, bytes([body[0] | 0x80, code])))
            await writer.drain()
    return behave


def device_id(objects):
    """The answer to FC 43/14 (MAP 6.21), basic."""
    body = b"".join(bytes([i, len(t)]) + t.encode() for i, t in enumerate(objects))
    return bytes([0x2B, 0x0E, 1, 1, 0, 0, len(objects)]) + body


def registers(values, delay=0.0, units=(1,), absent=None, identity=None):
    """FC 3 over a dictionary of registers, answered late; what is not there is exception 2; other units: exception or silence."""
    async def behave(reader, writer):
        while True:
            head = await reader.readexactly(7)
            body = await reader.readexactly(struct.unpack(">H", head[4:6])[0] - 1)
            await asyncio.sleep(delay)
            if head[6] not in units:
                if absent is None:
                    continue
                pdu = bytes([body[0] | 0x80, absent])
            elif body[0] == 0x2B and identity:
                pdu = device_id(identity)
            elif body[0] != 3:
                pdu = bytes([body[0] | 0x80, 1])
            else:
                a, n = struct.unpack(">HH", body[1:5])
                if all(a + i in values for i in range(n)):
                    pdu = bytes([3, 2 * n]) + b"".join(struct.pack(">H", values[a + i]) for i in range(n))
                else:
                    pdu = bytes([0x83, 2])
            writer.write(adu(head, pdu))
            await writer.drain()
    return behave


def closing_after_each(times):
    async def behave(reader, writer):
        times.append(time.monotonic())
        head = await reader.readexactly(7)
        body = await reader.readexactly(struct.unpack(">H", head[4:6])[0] - 1)
        writer.write(adu(head, bytes([body[0] | 0x80, 1])))
        await writer.drain()
    return behave


async def serve(tasks, host, port, contexts, silent=True):
    server = ModbusTcpServer(ModbusServerContext(slaves=contexts, single=False), address=(host, port), ignore_missing_slaves=silent)
    tasks.append(asyncio.create_task(server.serve_forever()))
    await asyncio.sleep(0)


def b23():
    """ABB B23: active power at 0x5B14, voltages at 0x5B00, frequency 0x5B2C, type designation "B23 " at 0x8960."""
    r = {0x8960: 0x4232, 0x8961: 0x3320, 0x8900: 0x0001, 0x8901: 0xE240}
    for a in range(0x5B00, 0x5B40):
        r[a] = 0
    r[0x5B01] = 2301
    r[0x5B15] = 50000
    r[0x5B2C] = 4999
    for a in range(0x5000, 0x5008):
        r[a] = 0
    return r


async def strangers(tasks, net, port):
    await serve(tasks, f"{net}.14", port, {1: sdm630(f"{net}.14")})
    keep = [await raw(f"{net}.15", port, registers(b23(), units=(2,), identity=("ABB", "B23 112-100", "2.1"))),
            await raw(f"{net}.16", port, exceptions(2)), await raw(f"{net}.17", port, never), await raw(f"{net}.18", port, banner),
            await raw(f"{net}.19", port, goodbye)]
    slow, _ = image([common("Stranger", "SlowMeter", "SN-S-1"), model(203, W_SF=0, W=77, V_SF=-1, A_SF=-2, Hz_SF=-2, TotWh_SF=0)])
    keep.append(await raw(f"{net}.20", port, registers(slow, delay=0.8)))
    base0, _ = image([common("Stranger", "Base0", "SN-0-1"), model(101, W_SF=0, W=42, A_SF=-1, V_SF=-1, Hz_SF=-2, WH_SF=0, Tmp_SF=0)], base=0)
    keep.append(await raw(f"{net}.21", port, registers(base0, units=(126,), absent=0x0B)))
    await serve(tasks, f"{net}.22", port, {1: sdm630(f"{net}.22"), 3: sdm630(f"{net}.22")})
    easy, _ = image([common("Stranger", "EasyMeter", "SN-E-1"), model(203, W_SF=0, W=78, V_SF=-1, A_SF=-2, Hz_SF=-2, TotWh_SF=0)])
    keep.append(await raw(f"{net}.23", port, registers(easy, units=range(256))))
    keep.append(await raw(f"{net}.24", port, registers({a: 7 for a in range(16)}, units=(1,), identity=("Acme", "Boiler 9", "0.3"))))
    keep.append(await raw(f"{net}.25", port, exceptions(0x0B)))
    for last in (40, 41, 42):
        keep.append(await raw(f"{net}.{last}", port, closing_after_each(connections)))
    return keep


def take_orders(path, seen, plant):
    try:
        stamp = os.stat(path).st_mtime_ns
    except OSError:
        return seen
    if stamp != seen:
        with open(path) as f:
            for line in f:
                name, value = line.split()
                setattr(plant, name, float(value))
    return stamp


async def main():
    p = argparse.ArgumentParser()
    p.add_argument("--host", required=True)
    p.add_argument("--port", type=int, default=1502)
    p.add_argument("--status", required=True)
    p.add_argument("--control")
    p.add_argument("--load", type=float, default=800.0)
    p.add_argument("--strangers", action="store_true")
    a = p.parse_args()
    plant, tasks, seen = Plant(a.load), [], 0
    site = Site(a.host, plant)
    for block, last in ((site.meter, 11), (site.storage, 12), (site.pv, 13)):
        empty = ModbusSparseDataBlock({0: 0}, mutable=False)
        await serve(tasks, f"{a.host}.{last}", a.port, {1: ModbusSlaveContext(hr=block, ir=empty)})
    keep = await strangers(tasks, a.host, a.port) if a.strangers else []
    ready = False
    while True:
        if a.control:
            seen = take_orders(a.control, seen, plant)
        plant.step()
        site.show()
        truth = dict(grid_w=plant.grid, battery_w=plant.battery, load_w=plant.load, pv_w=plant.pv, setpoint_w=plant.setpoint,
                     soc_percent=100 * plant.soc_wh / plant.capacity_wh, writes=writes, deaf=plant.deaf,
                     sign=plant.sign, connections=connections, **plant.energy)
        with open(a.status + ".part", "w") as f:
            json.dump(truth, f)
        os.replace(a.status + ".part", a.status)
        if not ready:
            await asyncio.sleep(0.3)
            print("ready", flush=True)
            ready = True
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
