/* The battery inverter with its battery: SunSpec models 1, 103, 120, 124, 802.
 *
 * Model 124 is a window, as Fronius' manual 42,0410,2649 has it and as its users write it (evcc pull request 18386):
 * with bit 0 of StorCtl_Mod the battery charges with at most InWRte, with bit 1 it discharges with at most OutWRte,
 * both in percent of WChaMax. A negative rate turns its bound over: OutWRte -40 % is "discharge at most -40 %", so
 * it must charge. Hence a set-point is both rates with opposite signs and both bits. Where the window leaves room
 * this device stays as near to 0 W as it can, for it has no control of its own; a window that stays empty is 0 W.
 *
 * InOutWRte_RvrtTms is the watchdog: so long after the last write to a rate, the mode or a time, the mode returns to
 * 0 and the rates to 100 %, and 103.StVnd says 3. It begins at the simulator's watchdog_s; 0 switches it off.
 */
#include <math.h>

#include "inside.h"

enum {
	M103 = SUNSPEC_COMMON_LEN + 2,
	M120 = M103 + SUNSPEC_103_LEN,
	M124 = M120 + SUNSPEC_120_LEN, M124_LEN = 26,
	M802 = M124 + M124_LEN, M802_LEN = 64,
	END = M802 + M802_LEN,
};
/* Points of 124 and 802 that can be written, from their model's id. */
enum { W_CHA_MAX = 2, W_CHA_GRA = 3, W_DIS_CHA_GRA = 4, STOR_CTL_MOD = 5, VA_CHA_MAX = 6, MIN_RSV_PCT = 7,
       OUT_W_RTE = 12, IN_W_RTE = 13, WIN_TMS = 14, RVRT_TMS = 15, RMP_TMS = 16, CHA_GRI_SET = 17 };
enum { SOC_RSV_MAX = 9, SOC_RSV_MIN = 10, CTRL_HB = 19, ALM_RST = 20, SET_OP = 50, SET_INV_STATE = 51 };
enum { LIMIT_CHARGE = 1, LIMIT_DISCHARGE = 2 };                 /* StorCtl_Mod */
enum { CONNECT = 1, DISCONNECT = 2 };                           /* SetOp */
enum { OFF = 1, MPPT = 4, THROTTLED = 5, STANDBY = 8 };         /* 103.St */
enum { VND_IDLE = 1, VND_FOLLOWING = 2, VND_EXPIRED = 3, VND_DISCONNECTED = 4 }; /* 103.StVnd, this device's own */
enum { PV_STOR = 82 };                                          /* 120.DERTyp, the only one with storage */
enum { EMPTY_US = 50000 };
enum { RATE_SF = -2, GRADIENT_SF = 1, RESERVE_SF = -2, SOC_SF = -1 };
enum { AT124 = SUNSPEC_BASE + M124, AT802 = SUNSPEC_BASE + M802 };

static const struct image_writable writable[] = {
	{ .address = AT124 + W_CHA_MAX, .max = 32000 },
	{ .address = AT124 + W_CHA_GRA, .min = 1, .max = 1000 },
	{ .address = AT124 + W_DIS_CHA_GRA, .min = 1, .max = 1000 },
	{ .address = AT124 + STOR_CTL_MOD, .max = LIMIT_CHARGE | LIMIT_DISCHARGE },
	{ .address = AT124 + MIN_RSV_PCT, .max = 10000 },
	{ .address = AT124 + OUT_W_RTE, .min = -10000, .max = 10000, .is_signed = true },
	{ .address = AT124 + IN_W_RTE, .min = -10000, .max = 10000, .is_signed = true },
	{ .address = AT124 + WIN_TMS, .max = 300 },
	{ .address = AT124 + RVRT_TMS, .max = 28800 },
	{ .address = AT124 + RMP_TMS, .max = 300 },
	{ .address = AT124 + CHA_GRI_SET, .max = 1 },
	{ .address = AT802 + SOC_RSV_MAX, .max = 1000 },
	{ .address = AT802 + SOC_RSV_MIN, .max = 1000 },
	{ .address = AT802 + CTRL_HB, .max = 0xFFFF },
	{ .address = AT802 + ALM_RST, .max = 1 },
	{ .address = AT802 + SET_OP, .min = CONNECT, .max = DISCONNECT },
	{ .address = AT802 + SET_INV_STATE, .min = 1, .max = 3 },
};

static void deliver_124(uint16_t *m)
{
	m[STOR_CTL_MOD] = 0;
	m[OUT_W_RTE] = m[IN_W_RTE] = image_s16_sf(100, RATE_SF);
}

static void begin_124(uint16_t *m, const struct view *v, double watchdog_s)
{
	int w_sf = image_fit_sf(v->inverter_w, 0);

	sunspec_model(m, 124, M124_LEN);
	m[W_CHA_MAX] = image_u16_sf(v->inverter_w, w_sf);
	m[W_CHA_GRA] = m[W_DIS_CHA_GRA] = image_u16_sf(10000, GRADIENT_SF); /* no bound worth the name */
	m[VA_CHA_MAX] = SUNSPEC_NA_U16;
	m[RVRT_TMS] = image_u16(watchdog_s);
	m[CHA_GRI_SET] = 1;
	deliver_124(m);
	m[18] = (uint16_t)w_sf;
	m[19] = GRADIENT_SF;
	m[20] = SUNSPEC_NA_SF;                          /* VAChaMax_SF */
	m[21] = (uint16_t)RESERVE_SF;
	m[22] = (uint16_t)-2;                           /* ChaState_SF */
	m[23] = m[24] = (uint16_t)-1;                   /* StorAval_SF, InBatV_SF */
	m[25] = (uint16_t)RATE_SF;
}

static void begin_802(uint16_t *m, const struct view *v)
{
	int w_sf = image_fit_sf(v->inverter_w, 0), wh_sf = image_fit_sf(v->battery_wh, 0);

	sunspec_model(m, 802, M802_LEN);
	m[2] = image_u16_sf(v->battery_wh / 400, -1);   /* AHRtg */
	m[3] = image_u16_sf(v->battery_wh, wh_sf);      /* WHRtg */
	m[4] = m[5] = image_u16_sf(v->inverter_w, w_sf); /* WChaRteMax, WDisChaRteMax */
	m[6] = SUNSPEC_NA_U16;                          /* DisChaRte */
	m[7] = m[SOC_RSV_MAX] = image_u16_sf(100, SOC_SF); /* SoCMax */
	m[8] = m[SOC_RSV_MIN] = 0;                      /* SoCMin */
	m[13] = image_u16_sf(98, -1);                   /* SoH */
	m[14] = 0;
	m[15] = 212;                                    /* NCyc */
	m[17] = 0;                                      /* LocRemCtl: REMOTE */
	m[21] = 4;                                      /* Typ: LITHIUM_ION */
	m[24] = m[25] = 0xFFFF;                         /* WarrDt */
	m[35] = image_u16_sf(440, -1);                  /* VMax */
	m[36] = image_u16_sf(340, -1);                  /* VMin */
	m[38] = m[39] = m[41] = m[42] = SUNSPEC_NA_U16; /* CellVMaxStr… */
	m[SET_OP] = CONNECT;
	m[SET_INV_STATE] = 3;
	m[52] = (uint16_t)-1;                           /* AHRtg_SF */
	m[53] = (uint16_t)wh_sf;
	m[54] = (uint16_t)w_sf;                         /* WChaDisChaMax_SF */
	m[55] = SUNSPEC_NA_SF;                          /* DisChaRte_SF */
	m[56] = (uint16_t)SOC_SF;
	m[57] = m[58] = m[59] = (uint16_t)-1;           /* DoD_SF, SoH_SF, V_SF */
	m[60] = (uint16_t)-3;                           /* CellV_SF */
	m[61] = m[62] = (uint16_t)-2;                   /* A_SF, AMax_SF */
}

static void begin(struct image *i, const struct view *v)
{
	uint16_t *regs = image_add_block(i, BUS_READ_HOLDING, SUNSPEC_BASE, END + 2);

	sunspec_begin(regs, "SimStore 5/10", i->serial);
	sunspec_120(regs + M120, PV_STOR, v->inverter_w, v->battery_wh);
	begin_124(regs + M124, v, v->watchdog_s);
	begin_802(regs + M802, v);
	sunspec_end(regs + END);
}

static uint16_t vendor_state(const struct image *i, const struct view *v)
{
	if (v->off)
		return VND_DISCONNECTED;
	if (v->watchdog_tripped)
		return VND_EXPIRED;
	return i->regs[M124 + STOR_CTL_MOD] ? VND_FOLLOWING : VND_IDLE;
}

static uint16_t state(const struct image *i, const struct view *v)
{
	bool limited = v->command_w < -v->charge_limit_w + 1 || v->command_w > v->discharge_limit_w - 1;

	if (v->off)
		return OFF;
	if (fabs(v->battery_w) < 20)
		return STANDBY;
	return limited && i->regs[M124 + STOR_CTL_MOD] ? THROTTLED : MPPT;
}

/* ChaSt of 124 and of 802. */
static uint16_t charge_state(const struct view *v)
{
	enum { ST_OFF = 1, EMPTY, DISCHARGING, CHARGING, FULL, HOLDING };

	if (v->off)
		return ST_OFF;
	if (v->battery_w > 20)
		return DISCHARGING;
	if (v->battery_w < -20)
		return CHARGING;
	return v->soc_percent <= 0.05 ? EMPTY : v->soc_percent >= 99.95 ? FULL : HOLDING;
}

static void refresh_802(uint16_t *m, const struct view *v)
{
	double dc_w = view_dc_w(v, v->battery_w);
	int w_sf = image_fit_sf(dc_w, 0);

	m[11] = image_u16_sf(v->soc_percent, SOC_SF);           /* SoC */
	m[12] = image_u16_sf(fmax(100 - v->soc_percent, 0), -1); /* DoD */
	m[16] = charge_state(v);
	m[18] = (uint16_t)(v->at_us / US_PER_S);                /* Hb */
	m[ALM_RST] = 0;
	m[22] = v->off ? 1 : 3;                                 /* State: DISCONNECTED, CONNECTED */
	m[23] = SUNSPEC_NA_ENUM;                                /* StateVnd */
	for (int n = 26; n < 34; n++)
		m[n] = 0;                                       /* Evt1, Evt2, EvtVnd1, EvtVnd2 */
	m[34] = image_u16_sf(v->battery_v, -1);                 /* V */
	m[37] = image_u16_sf(v->battery_v / 120 + 0.004, -3);   /* CellVMax: 120 in series */
	m[40] = image_u16_sf(v->battery_v / 120 - 0.006, -3);   /* CellVMin */
	m[43] = image_u16_sf(v->battery_v / 120, -3);           /* CellVAvg */
	/* A, W: "to/from the battery bank", no sign given; taken like 103: out of the battery is positive. */
	m[44] = image_s16_sf(dc_w / v->battery_v, -2);
	m[45] = image_u16_sf(view_dc_w(v, -v->charge_limit_w) / -v->battery_v, -2);  /* AChaMax */
	m[46] = image_u16_sf(view_dc_w(v, v->discharge_limit_w) / v->battery_v, -2); /* ADisChaMax */
	m[47] = image_s16_sf(dc_w, w_sf);
	m[48] = 0;                                              /* ReqInvState: NO_REQUEST */
	m[49] = SUNSPEC_NA_S16;                                 /* ReqW */
	m[63] = (uint16_t)w_sf;                                 /* W_SF */
}

static void refresh(struct image *i, const struct view *v)
{
	uint16_t *m = i->regs + M124;
	struct sunspec_103 x = {
		.w = v->battery_w, .dc_w = view_dc_w(v, v->battery_w), .dc_v = v->battery_v, .wh = v->discharge_wh,
		.hz = v->grid_hz, .v = { v->grid_v[0], v->grid_v[1], v->grid_v[2] }, .rated_w = v->inverter_w,
		.state = state(i, v), .vendor_state = vendor_state(i, v),
	};
	double reserve = (int16_t)m[MIN_RSV_PCT] * pow(10, RESERVE_SF);

	sunspec_103(i->regs + M103, &x);
	m[8] = image_u16_sf(v->soc_percent, -2);                /* ChaState */
	m[9] = image_u16_sf(fmax(v->soc_percent - reserve, 0) / 100 * v->battery_wh / 400, -1); /* StorAval */
	m[10] = image_u16_sf(v->battery_v, -1);                 /* InBatV */
	m[11] = charge_state(v);                                /* ChaSt */
	refresh_802(i->regs + M802, v);
}

/* What the window leaves: as near to 0 as it goes. *empty: nothing. */
static double window_w(const uint16_t *m, bool *empty)
{
	double full = m[W_CHA_MAX] * pow(10, (int16_t)m[18]), unit = full * pow(10, RATE_SF) / 100;
	double least = m[STOR_CTL_MOD] & LIMIT_CHARGE ? -(int16_t)m[IN_W_RTE] * unit : -full;
	double most = m[STOR_CTL_MOD] & LIMIT_DISCHARGE ? (int16_t)m[OUT_W_RTE] * unit : full;

	if (m[CHA_GRI_SET] == 0) /* PV only, and this inverter has none behind it: nothing to charge from */
		least = fmax(least, 0);
	*empty = least > most;
	return *empty ? 0 : clamp_real(0, least, most);
}

static bool touches(uint16_t address, uint16_t count, uint16_t base, uint16_t first, uint16_t last)
{
	return address <= base + last && address + count > base + first;
}

static void written(struct image *i, uint16_t address, uint16_t count, const struct view *v, const struct orders *o)
{
	struct command *c = o->command;
	const uint16_t *m = i->regs + M124, *bank = i->regs + M802;
	double gradient = fmin(m[W_CHA_GRA], m[W_DIS_CHA_GRA]) * pow(10, GRADIENT_SF);

	c->off = bank[SET_OP] == DISCONNECT;
	c->reserve_percent = fmax(m[MIN_RSV_PCT] * pow(10, RESERVE_SF), bank[SOC_RSV_MIN] * pow(10, SOC_SF));
	c->watchdog_s = m[RVRT_TMS];
	c->ramp_w_per_s = gradient >= 10000 ? INFINITY : gradient / 100 * v->inverter_w;
	if (touches(address, count, AT124, STOR_CTL_MOD, STOR_CTL_MOD) ||
	    touches(address, count, AT124, OUT_W_RTE, CHA_GRI_SET) || /* rates and times */
	    touches(address, count, AT124, W_CHA_MAX, W_CHA_MAX)) {
		int64_t wait_us = m[WIN_TMS] ? (int64_t)(rng_real(o->rng, 0, m[WIN_TMS]) * 1e6) : 0;
		bool empty;
		double w = window_w(m, &empty);

		/* Who writes the rates one after the other passes through an empty window: it must not jerk to 0
		 * there. */
		command_set(c, w, v->at_us, empty ? wait_us + EMPTY_US : wait_us, m[RMP_TMS] * US_PER_S);
	}
}

static void expired(struct image *i)
{
	deliver_124(i->regs + M124);
}

const struct image_kind image_battery = {
	.name = "battery", .words = "SunSpec battery inverter (1, 103, 120, 124, 802)", .unit = 1, .host = 1,
	.connections = 3, .identity = { "psec", "SimStore 5/10", PSEC_VERSION },
	.read_max = BUS_READ_MAX, .writable = writable, .writable_count = COUNT_OF(writable),
	.begin = begin, .refresh = refresh, .written = written, .expired = expired,
};
