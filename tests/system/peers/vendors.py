"""Devices of many makers as their sources list the registers (typed from those, not from psec's profiles), each in two
states with every direction turned. k is +1 (import, discharge, production as they read there) or -1.

A device answers for its documented stretches; what lies between the documented registers is junk, so that a wrong register
is a wrong number. vendors.py expect NAME: what psec must say, as JSON {"profile": …, "points": {…}}."""
import json
import struct
import sys

from encode import chain, common, f32, inverter_103, s16, storage_124, text, u32, u32_low

JUNK = 0x5A5A


def stretch(first, count, **at):
    """Registers first…, junk but for a123=[…]: register 123 and on."""
    regs = [JUNK] * count
    for name, values in at.items():
        i = int(name[1:]) - first
        regs[i : i + len(values)] = values
    assert len(regs) == count, (first, len(regs))
    return {first: regs}


def i32(v):
    return u32(v & 0xFFFFFFFF)


def i32_low(v):
    return u32_low(v & 0xFFFFFFFF)


def u64(v):
    return u32(v >> 32) + u32(v & 0xFFFFFFFF)


def f64(v):
    return list(struct.unpack(">4H", struct.pack(">d", v)))


def f32_low(v):
    return f32(v)[::-1]


def deye(k):
    regs = stretch(500, 130, a522=u32_low(123456), a524=u32_low(70001), a588=[57], a590=[s16(1200 * k)], a598=[2315],
                   a613=[s16(431 * k)], a625=[s16(-870 * k)])
    return {"holding": regs}, "deye-hybrid-3p", {
        "grid-meter.power_w": -870 * k, "grid-meter.voltage_l1_v": 231.5, "grid-meter.current_l1_a": 4.31 * k,
        "grid-meter.import_wh": 12345600, "grid-meter.export_wh": 7000100, "battery-inverter.power_w": 1200 * k,
        "bms.soc_percent": 57}


def sma(k):
    imported, exported = (2500, 0) if k > 0 else (0, 2500)
    out, into = (900, 0) if k > 0 else (0, 900)
    regs = {**stretch(30840, 40, a30845=u32(71), a30865=i32(imported), a30867=i32(exported)),
            **stretch(31390, 10, a31393=u32(into), a31395=u32(out))}
    return {"input": regs}, "sma-hybrid", {
        "grid-meter.power_w": 2500 * k, "battery-inverter.power_w": 900 * k, "bms.soc_percent": 71}


def sma_night(k):
    regs = {**stretch(30840, 40, a30845=u32(0xFFFFFFFF), a30865=u32(0x80000000), a30867=i32(0)),
            **stretch(31390, 10, a31393=u32(0xFFFFFFFF), a31395=u32(0xFFFFFFFF))}
    return {"input": regs}, "sma-hybrid", {
        "grid-meter.power_w": "absent", "battery-inverter.power_w": "absent", "bms.soc_percent": "absent"}


def solax(k):
    regs = stretch(0, 200, a10=[1500, 1320], a22=[s16(-640 * k)], a28=[44], a70=i32_low(-70000 * k), a148=u32_low(98765))
    return {"input": regs}, "solax-hybrid", {
        "grid-meter.power_w": 70000 * k, "pv-inverter.power_w": 2820, "pv-inverter.energy_wh": 9876500,
        "battery-inverter.power_w": 640 * k, "bms.soc_percent": 44}


def goodwe(k):
    regs = {**stretch(35100, 120, a35105=u32(2100), a35109=u32(1900), a35113=u32(0xFFFFFFFF), a35117=u32(0xFFFFFFFF),
                      a35121=[2301, 41], a35126=[2302, 42], a35131=[2303, 43], a35182=i32(-1750 * k), a35191=u32(55555)),
            **stretch(36000, 50, a36017=f32(4567000.0), a36025=i32(81000 * k)), **stretch(37000, 20, a37007=[88])}
    return {"holding": regs}, "goodwe-hybrid", {
        "grid-meter.power_w": -81000 * k, "grid-meter.voltage_l2_v": 230.2, "grid-meter.current_l3_a": 4.3,
        "grid-meter.import_wh": 4567000, "pv-inverter.power_w": 4000, "pv-inverter.energy_wh": 5555500,
        "battery-inverter.power_w": -1750 * k, "bms.soc_percent": 88}


def huawei(k):
    regs = {**stretch(32060, 50, a32064=i32(6400), a32106=u32(1234567)),
            **stretch(37040, 10, a37046=u32(5000), a37048=u32(4900)),
            **stretch(37095, 40, a37101=i32(2345), a37107=i32(-512 * k), a37109=i32(100), a37111=u32(0x7FFFFFFF),
                      a37113=i32(-70123 * k), a37121=u32(765432)),
            **stretch(37755, 15, a37760=[505], a37765=i32(-3300 * k))}
    return {"holding": regs}, "huawei-sun2000-hybrid", {
        "grid-meter.power_w": 70123 * k, "grid-meter.voltage_l1_v": 234.5, "grid-meter.current_l1_a": 5.12 * k,
        "grid-meter.current_l2_a": -1, "grid-meter.current_l3_a": "absent", "grid-meter.import_wh": 7654320,
        "pv-inverter.power_w": 6400, "pv-inverter.energy_wh": 12345670, "battery-inverter.power_w": 3300 * k,
        "battery-inverter.charge_rating_w": 5000, "battery-inverter.discharge_rating_w": 4900, "bms.soc_percent": 50.5}


def victron(k):
    regs = stretch(800, 60, a808=[100, 200, 300, 10, 20, 30], a820=[s16(1500 * k), s16(-200 * k), s16(40 * k)],
                   a842=[s16(-777 * k), 63], a850=[4000])
    return {"holding": regs}, "victron-gx", {
        "grid-meter.power_w": 1340 * k, "grid-meter.power_l2_w": -200 * k, "pv-inverter.power_w": 4660,
        "battery-inverter.power_w": 777 * k, "bms.soc_percent": 63}


def sdm72(k):
    return {"input": stretch(50, 30, a52=f32(-1812.5 * k), a72=f32(100.25), a74=f32(7.5))}, "eastron-sdm72", {
        "grid-meter.power_w": -1812.5 * k, "grid-meter.import_wh": 100250, "grid-meter.export_wh": 7500}


def abb(k):
    gone = u32(0x7FFFFFFF)
    regs = {**stretch(0x8900, 0x70, a35072=u32(4711), a35080=text("B1.2.3", 8), a35168=u32(0x42323120)),
            **stretch(0x5000, 16, a20480=u64(987654), a20484=u64(5_000_000_000)),
            **stretch(0x5B00, 0x40, a23296=u32(2309), a23298=u32(0xFFFFFFFF), a23300=u32(0xFFFFFFFF), a23308=u32(1234),
                      a23310=u32(0xFFFFFFFF), a23312=u32(0xFFFFFFFF), a23316=i32(-8765432 * k), a23318=gone, a23320=gone,
                      a23322=gone, a23340=[4997])}
    return {"holding": regs}, "abb-b2x", {
        "grid-meter.power_w": -87654.32 * k, "grid-meter.power_l1_w": "absent", "grid-meter.voltage_l1_v": 230.9,
        "grid-meter.voltage_l2_v": "absent", "grid-meter.current_l1_a": 12.34, "grid-meter.frequency_hz": 49.97,
        "grid-meter.import_wh": 9876540, "grid-meter.export_wh": 50000000000}


def em24(k):
    regs = {**stretch(0, 90, a0=i32_low(2311), a2=i32_low(2312), a4=i32_low(2313), a11=[1651], a12=i32_low(1500),
                      a14=i32_low(2500), a16=i32_low(3500), a18=i32_low(-400000 * k), a20=i32_low(1000 * k),
                      a22=i32_low(2000 * k), a40=i32_low(-397000 * k), a51=[500], a52=i32_low(123456), a78=i32_low(654)),
            **stretch(0x5000, 7, a20480=text("BX1234567890", 7)), **stretch(0xA000, 1, a40960=[7])}
    return {"holding": regs}, "carlo-gavazzi-em24", {
        "grid-meter.power_w": -39700 * k, "grid-meter.power_l1_w": -40000 * k, "grid-meter.power_l3_w": 200 * k,
        "grid-meter.voltage_l3_v": 231.3, "grid-meter.current_l2_a": 2.5, "grid-meter.frequency_hz": 50,
        "grid-meter.import_wh": 12345600, "grid-meter.export_wh": 65400}


def janitza(k):
    regs = stretch(19000, 60, a19000=f32(231.5), a19002=f32(232.0), a19004=f32(232.5), a19012=f32(5.5), a19014=f32(6.5),
                   a19016=f32(float("nan")), a19020=f32(1000.0 * k), a19022=f32(-2000.0 * k), a19024=f32(300.0 * k),
                   a19026=f32(-700.0 * k), a19050=f32(50.03125))
    return {"holding": regs}, "janitza-umg", {
        "grid-meter.power_w": -700 * k, "grid-meter.power_l2_w": -2000 * k, "grid-meter.voltage_l2_v": 232,
        "grid-meter.current_l1_a": 5.5, "grid-meter.current_l3_a": "absent", "grid-meter.frequency_hz": 50.03125}


def pac2200(k):
    regs = {**stretch(0, 80, a1=f32(229.5), a3=f32(230.5), a5=f32(231.5), a13=f32(1.5), a15=f32(2.5), a17=f32(3.5),
                      a25=f32(111.5 * k), a27=f32(-222.5 * k), a29=f32(333.5 * k), a65=f32(222.5 * k)),
            **stretch(795, 30, a801=f64(123456789.5), a809=f64(2048.25))}
    return {"input": regs}, "siemens-pac2200", {
        "grid-meter.power_w": 222.5 * k, "grid-meter.power_l2_w": -222.5 * k, "grid-meter.voltage_l1_v": 229.5,
        "grid-meter.current_l3_a": 3.5, "grid-meter.import_wh": 123456789.5, "grid-meter.export_wh": 2048.25}


def comap(k):
    regs = {**stretch(1000, 60, a1020=[s16(24 * k)], a1036=[501]),
            **stretch(1290, 60, a1298=[8], a1307=text("InteliLite4-AMF25", 16), a1323=text("2.0.1", 8))}
    return {"holding": regs}, "comap-intelilite4", {
        "genset.power_w": 24000 * k, "genset.frequency_hz": 50.1, "genset.state": 8}


def comap_standing(k):
    regs = {**stretch(1000, 60, a1020=[0x8000], a1036=[0x8000]),
            **stretch(1290, 60, a1298=[1], a1307=text("InteliLite4-MRS16", 16), a1323=text("2.0.1", 8))}
    return {"holding": regs}, "comap-intelilite4", {
        "genset.power_w": "absent", "genset.frequency_hz": "absent", "genset.state": 1}


def dse(k):
    regs = {**stretch(768, 10, a768=[1, 32840], a770=u32(123456)), **stretch(1024, 40, a1031=[499]),
            **stretch(1400, 20, a1408=[3]), **stretch(1536, 10, a1536=i32(98765 * k))}
    return {"holding": regs}, "dse-gencomm", {
        "genset.power_w": 98765 * k, "genset.frequency_hz": 49.9, "genset.state": 3}


def dse_marked(k):
    """Each mark in turn would be a device of its own; the first, and one in the middle."""
    regs = {**stretch(768, 10, a768=[1, 4623], a770=u32(1)), **stretch(1024, 40, a1031=[0xFFFF if k > 0 else 0xFFFB]),
            **stretch(1400, 20, a1408=[15]), **stretch(1536, 10, a1536=u32(0x7FFFFFFF if k > 0 else 0x7FFFFFFB))}
    return {"holding": regs}, "dse-gencomm", {
        "genset.power_w": "absent", "genset.frequency_hz": "absent", "genset.state": "absent"}


def mppt_160(*watts):
    """Watts of each module in units of 10 W; None: not there."""
    m = [0x8000, 0x8000, 1, 0x8000, 0, 0, len(watts), 0xFFFF]
    for n, w in enumerate(watts):
        m += [n + 1] + text(f"M{n + 1}", 8) + [0xFFFF, 0xFFFF, 0xFFFF if w is None else w, 0, 0, 0, 0, 0x8000, 0xFFFF, 0, 0]
    return [160, len(m)] + m


def battery_802(soc_10, volts_10, watts):
    m = [0] * 62
    m[9] = soc_10
    m[32] = volts_10
    m[42:46] = [s16(-52), 850, 1100, s16(watts)]              # A AChaMax ADisChaMax W
    m[50:62] = [0, 2, 2, 0x8000, s16(-1), 0x8000, 0x8000, s16(-1), s16(-3), s16(-1), s16(-1), 0]
    return [802, 62] + m


def kostal(k):
    image = chain(40000, common("KOSTAL Solar Electric", "PLENTICORE plus 10", "1.44", "90342K"), inverter_103(300, 4, 1000),
                  mppt_160(210, 180, None), battery_802(805, 4012, -1200 * k))
    image["holding"].update(stretch(1030, 40, a1034=f32_low(-450.5 * k), a1038=f32_low(6000.0), a1040=f32_low(5500.0),
                                    a1056=f32_low(7654321.0)))
    return image, "kostal-plenticore", {
        "pv-inverter.power_w": 3900, "pv-inverter.energy_wh": 7654321, "battery-inverter.power_w": -1200 * k,
        "battery-inverter.setpoint_w": -450.5 * k, "battery-inverter.charge_rating_w": 6000,
        "battery-inverter.discharge_rating_w": 5500, "bms.soc_percent": 80.5, "bms.voltage_v": 401.2}


def fronius(k):
    charge, discharge = (0, 155) if k > 0 else (155, 0)
    storage = storage_124(10000)
    storage[2 + 3] = 3
    storage[2 + 6], storage[2 + 20] = 6250, s16(-2)           # ChaState, its scale factor
    storage[2 + 10], storage[2 + 11] = s16(1550 * k), s16(-1550 * k)
    image = chain(40000, common("Fronius", "Symo GEN24 10.0", "1.28", "3012"), inverter_103(450, 4, 1000), storage,
                  mppt_160(310, None, charge, discharge))
    return image, "fronius-gen24", {
        "pv-inverter.power_w": 3100, "battery-inverter.power_w": 1550 * k, "battery-inverter.setpoint_w": 1550 * k,
        "battery-inverter.charge_rating_w": 10000, "bms.soc_percent": 62.5}


def acme_hb5(k):
    """The device of psec-profile(5), by the table in it."""
    regs = {"input": stretch(0, 40, a0=[5512], a10=i32_low(-70123 * k), a12=u32_low(98765), a14=u32_low(4321),
                             a20=[s16(-123 * k)], a21=[615, 4012, 250, 300], a30=[1800, 0xFFFF]),
            "holding": stretch(100, 10, a100=[2, s16(-45 * k)], a109=[500])}
    return regs, "acme-hb5", {
        "grid-meter.power_w": 70123 * k, "grid-meter.import_wh": 9876500, "grid-meter.export_wh": 432100,
        "battery-inverter.power_w": 1230 * k, "battery-inverter.setpoint_w": 450 * k, "battery-inverter.charge_rating_w": 5000,
        "bms.soc_percent": 61.5, "bms.charge_limit_w": 10030, "bms.discharge_limit_w": 12036, "pv-inverter.power_w": 1800}


VENDORS = {f.__name__.replace("_", "-") + sign: (f, k)
           for f in (deye, sma, sma_night, solax, goodwe, huawei, victron, sdm72, abb, em24, janitza, pac2200, comap,
                     comap_standing, dse, dse_marked, kostal, fronius) for sign, k in (("+", 1), ("-", -1))}
VENDORS_OF_MANUAL = {"acme-hb5" + sign: (acme_hb5, k) for sign, k in (("+", 1), ("-", -1))}
IMAGES = {name: (lambda f=f, k=k: f(k)[0]) for name, (f, k) in {**VENDORS, **VENDORS_OF_MANUAL}.items()}

if __name__ == "__main__":
    if sys.argv[1:] == ["list"]:
        print(*VENDORS)
    else:
        f, k = {**VENDORS, **VENDORS_OF_MANUAL}[sys.argv[2]]
        json.dump(dict(zip(("profile", "points"), f(k)[1:])), sys.stdout)
