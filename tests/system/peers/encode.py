"""Numbers, texts and SunSpec models as registers, by hand: SunSpec's model tables, and struct."""
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
