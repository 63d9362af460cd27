"""Register images, typed by hand from the devices' documents (SunSpec's model tables, and for the others the registers as
their sources list them), not made from psec's profiles: a profile that reads the wrong register reads a wrong number here."""
import struct


def text(s, regs):
    b = s.encode().ljust(2 * regs, b"\0")[: 2 * regs]
    return list(struct.unpack(f">{regs}H", b))


def s16(v):
    return v & 0xFFFF


def u32(v):
    return [v >> 16 & 0xFFFF, v & 0xFFFF]


def u32_low(v):
    return [v & 0xFFFF, v >> 16 & 0xFFFF]


def f32(v):
    return list(struct.unpack(">2H", struct.pack(">f", v)))


def common(make, model, version, serial, length=66):
    body = text(make, 16) + text(model, 16) + text("", 8) + text(version, 8) + text(serial, 16) + [1]
    return [1, length] + body + ([0x8000] if length == 66 else [])


def meter_203(watts, exported, imported):
    """Wye three-phase meter: 231.2, 230.8, 231.6 V; 49.98 Hz; W by phase, one of them against the others."""
    m = [0] * 105
    m[0:5] = [53, 20, 21, 12, s16(-1)]                        # A AphA AphB AphC A_SF
    m[5:14] = [2312, 2312, 2308, 2316, 4000, 4001, 4002, 4003, s16(-1)]  # PhV .. PhVphCA V_SF
    m[14:16] = [4998, s16(-2)]                                # Hz Hz_SF
    m[16:21] = [s16(watts), s16(watts - 500), 300, 200, 0]    # W WphA WphB WphC W_SF
    m[21:26] = [0x8000, 0x8000, 0x8000, 0x8000, 0x8000]       # VA: not there
    m[26:31] = [0x8000] * 5                                   # VAR
    m[31:36] = [0x8000] * 5                                   # PF
    m[36:38] = u32(exported)
    m[44:46] = u32(imported)
    m[52] = 1                                                 # TotWh_SF: in 10 Wh
    m[69] = m[102] = 0x8000
    return [203, 105] + m


def meter_213(watts):
    m = f32(0.0) * 62
    m[10:12], m[12:14], m[14:16] = f32(231.25), f32(230.5), f32(232.0)  # PhVphA B C
    m[24:26] = f32(50.0625)
    m[26:28] = f32(watts)
    m[28:30], m[30:32], m[32:34] = f32(watts / 2), f32(watts / 4), f32(float("nan"))
    m[58:60] = f32(1000.0)                                    # TotWhExp
    m[66:68] = f32(2500.0)                                    # TotWhImp
    return [213, 124] + m


def inverter_103(watts_10, state, energy):
    m = [0] * 50
    m[0:5] = [120, 40, 40, 40, s16(-1)]
    m[5:12] = [0xFFFF, 0xFFFF, 0xFFFF, 2310, 2311, 2312, s16(-1)]
    m[12:14] = [s16(watts_10), 1]                             # W in 10 W
    m[14:16] = [5001, s16(-2)]
    m[16:22] = [0x8000] * 6
    m[22:25] = u32(energy) + [2]                              # WH in 100 Wh
    m[25:31] = [0xFFFF, 0x8000, 0xFFFF, 0x8000, 0x8000, 0x8000]
    m[31:36] = [451, 0x8000, 0x8000, 0x8000, s16(-1)]
    m[36:38] = [state, 0xFFFF]
    return [103, 50] + m


def nameplate_120(watts, charge, discharge):
    m = [0] * 26
    m[0:3] = [82, watts, 0]                                   # PV_STOR
    m[17:25] = [0xFFFF, 0x8000, 0xFFFF, 0x8000, charge, 0, discharge, 0]
    m[25] = 0x8000
    return [120, 26] + m


def storage_124(charge_max):
    m = [0] * 24
    m[0:4] = [charge_max, 100, 100, 0]                        # WChaMax WChaGra WDisChaGra StorCtl_Mod
    m[4:10] = [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 6]     # VAChaMax MinRsvPct ChaState StorAval InBatV ChaSt
    m[10:16] = [0, 0, 0xFFFF, 0xFFFF, 0xFFFF, 1]              # OutWRte InWRte WinTms RvrtTms RmpTms ChaGriSet
    m[16:24] = [0, 0, 0x8000, 0x8000, 0x8000, 0x8000, 0x8000, s16(-2)]
    return [124, 24] + m


def battery_802(soc_10, volts_10, charge_10, discharge_10):
    m = [0] * 62
    m[0:4] = [200, 100, 60, 60]                               # AHRtg WHRtg WChaRteMax WDisChaRteMax
    m[4] = 0xFFFF
    m[5:9] = [0xFFFF] * 4
    m[9:12] = [soc_10, 0xFFFF, 0xFFFF]
    m[12:14] = u32(77)
    m[14:16] = [4, 0]
    m[19:21] = [4, 3]                                         # LITHIUM_ION, CONNECTED
    m[32:35] = [volts_10, 0xFFFF, 0xFFFF]
    m[42:46] = [s16(-52), charge_10, discharge_10, s16(-260)] # A AChaMax ADisChaMax W
    m[50:62] = [0, 2, 2, 0x8000, s16(-1), 0x8000, 0x8000, s16(-1), s16(-3), s16(-1), s16(-1), 1]
    return [802, 62] + m


END = [0xFFFF, 0]
SUNS = [0x5375, 0x6E53]


def chain(base, *models):
    return {"holding": {base: SUNS + [r for m in models for r in m] + END}}


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
}
