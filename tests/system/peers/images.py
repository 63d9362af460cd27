"""Register images, typed by hand from the devices' documents (SunSpec's model tables, and for the others the registers as
their sources list them), not made from psec's profiles: a profile that reads the wrong register reads a wrong number here."""
from encode import SUNS, battery_802, chain, common, f32, inverter_103, meter_203, meter_213, nameplate_120, storage_124, text, \
    u32, u32_low
from vendors import IMAGES as VENDOR_IMAGES


def sdm630():
    regs = f32(0.0) * 38                                      # 0..75
    for i, v in {0: 231.25, 2: 230.5, 4: 229.75, 6: 5.5, 8: 4.25, 10: 3.0, 12: 1250.5, 14: -300.25, 16: 75.0, 52: 1025.25,
                 70: 49.9375, 72: 1234.5, 74: 56.25}.items():
        regs[i : i + 2] = f32(v)
    return {"input": {0: regs}}


def pylontech():
    regs = [5122] + u32(-1250 & 0xFFFFFFFF) + [235, 88, 412, 5600] + u32(7500) + [4400] + u32(-9000 & 0xFFFFFFFF) + [3]
    return {"holding": {4355: regs}}


def sungrow():
    low = [0] * 4 + u32_low(4200)                             # 5012..: 5016 total DC power
    return {
        "input": {
            5012: low + [2310, 2311, 2312],                   # 5018..5020
            5600: [0] * 27 + [50] + [0] * 6 + [20, 30],       # 5627 BDC rating 5 kW; 5634, 5635 limits in A
            12999: [64, 0x0002] + [0] + u32_low(98765) + [0] * 5 + u32_low(-1850 & 0xFFFFFFFF) + [0] * 8
            + [2500, 60, 1500, 505, 990, 215] + [0] * 11 + u32_low(33333) + [0] * 7 + u32_low(44444),
        },
        "holding": {13049: [0, 0xCC, 0]},
    }


def unlisted():
    """An invented meter, by its maker's table: holding registers from 0x5000, whole numbers of two registers, low word first.
    0x5000 U L1..L3 in mV, 0x5006 P in W, 0x5008 P L1..L3 in W, 0x500E I L1..L3 in mA, 0x5014 f in mHz (one register),
    0x5015 counter of import in 10 Wh, 0x5017 of export in 10 Wh. At 0x0100 its name."""
    low = lambda *values: [r for v in values for r in u32_low(v & 0xFFFFFFFF)]
    return {"holding": {
        0x0100: text("Acme M3 rev 2", 8),
        0x5000: low(232600, 231100, 230400, -1868, -1850, -400, 382, 8214, 1790, 1712) + [49970] + low(7123456, 12)}}


SUNSPEC_METER = [common("Acme", "Meter 3", "1.4.0", "M-4711"), meter_203(-1234, 65536, 5000)]
SUNSPEC_METER_FLOAT = [common("Acme", "Meter F", "2", "F-1", 65), meter_213(-750.5)]
SUNSPEC_PV = [common("Sun & Co", "PV 10", "0.9", "PV-1"), inverter_103(734, 4, 123456), nameplate_120(10000, 0xFFFF, 0xFFFF)]
SUNSPEC_BATTERY = [common("Acme", "Store 5", "3.1", "B-9"), inverter_103(-125, 4, 4321), nameplate_120(5000, 4600, 5000),
                   storage_124(5000), battery_802(635, 5120, 85, 110)]
HOSTILE = [common("Evil", "\x1b[2J", "1", "1"), [103, 65000]]

IMAGES = {
    "sunspec-meter": lambda: chain(40000, *SUNSPEC_METER),
    "sunspec-meter-float": lambda: chain(0, *SUNSPEC_METER_FLOAT),
    "sunspec-pv": lambda: chain(50000, *SUNSPEC_PV),
    "sunspec-battery": lambda: chain(40000, *SUNSPEC_BATTERY),
    "sunspec-hostile": lambda: {"holding": {40000: SUNS + [r for m in HOSTILE for r in m]}},
    "sdm630": sdm630,
    "pylontech": pylontech,
    "sungrow": sungrow,
    "unlisted": unlisted,
    **VENDOR_IMAGES,
}
