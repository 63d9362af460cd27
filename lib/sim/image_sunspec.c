/* What SunSpec devices share: the mark, models 1, 103 and 120, the end. Offsets count from a model's id, as in the
 * models' JSON. */
#include <math.h>

#include "inside.h"

uint16_t *sunspec_model(uint16_t *m, uint16_t id, uint16_t words)
{
	m[0] = id;
	m[1] = (uint16_t)(words - 2);
	return m + words;
}

uint16_t *sunspec_begin(uint16_t *regs, const char *model, const char *serial)
{
	uint16_t *m = regs + 2;

	image_text(regs, 2, "SunS");
	image_text(m + 2, 16, "psec");          /* Mn */
	image_text(m + 18, 16, model);          /* Md */
	image_text(m + 34, 8, "simulated");     /* Opt */
	image_text(m + 42, 8, PSEC_VERSION);    /* Vr */
	image_text(m + 50, 16, serial);         /* SN */
	m[66] = 1;                              /* DA */
	m[67] = 0x8000;                         /* Pad */
	return sunspec_model(m, 1, SUNSPEC_COMMON_LEN);
}

void sunspec_end(uint16_t *m)
{
	m[0] = 0xFFFF;
	m[1] = 0;
}

/* Model 120: what it is rated for. */
void sunspec_120(uint16_t *m, uint16_t der_type, double rated_w, double battery_wh)
{
	int w_sf = image_fit_sf(rated_w, 0), wh_sf = image_fit_sf(battery_wh, 0);

	sunspec_model(m, 120, SUNSPEC_120_LEN);
	m[2] = der_type;
	m[3] = m[5] = image_u16_sf(rated_w, w_sf); /* WRtg, VARtg */
	m[4] = m[6] = (uint16_t)w_sf;
	for (int n = 0; n < 4; n++) {
		m[7 + n] = image_s16_sf(n < 2 ? rated_w / 2 : -rated_w / 2, w_sf); /* VArRtgQ1… */
		m[14 + n] = image_s16_sf(n % 3 ? -0.8 : 0.8, -2); /* PFRtgQ1…, EEI signs */
	}
	m[11] = (uint16_t)w_sf;
	m[12] = image_u16_sf(rated_w / 230, -1);  /* ARtg */
	m[13] = (uint16_t)-1;
	m[18] = (uint16_t)-2;
	if (battery_wh > 0) {
		m[19] = image_u16_sf(battery_wh, wh_sf);     /* WHRtg */
		m[20] = (uint16_t)wh_sf;
		m[21] = image_u16_sf(battery_wh / 400, -1);  /* AhrRtg */
		m[22] = (uint16_t)-1;
		m[23] = m[25] = image_u16_sf(rated_w, w_sf); /* MaxChaRte, MaxDisChaRte */
		m[24] = m[26] = (uint16_t)w_sf;
	} else {
		for (int n = 19; n < 27; n++)
			m[n] = n % 2 ? SUNSPEC_NA_U16 : SUNSPEC_NA_SF;
	}
	m[27] = 0x8000;                                 /* Pad */
}

/* Model 103. W: an inverter's model, so production is positive; of a storage inverter that is discharging. A and VA are
 * magnitudes. */
void sunspec_103(uint16_t *m, const struct sunspec_103 *x)
{
	int w_sf = image_fit_sf(x->w, 0), dc_sf = image_fit_sf(x->dc_w, 0);
	double volts = (x->v[0] + x->v[1] + x->v[2]) / 3, amps = fabs(x->w) / volts;
	double warm = fmin(fabs(x->w) / x->rated_w, 1);

	sunspec_model(m, 103, SUNSPEC_103_LEN);
	m[2] = image_u16_sf(amps, -2);                  /* A */
	for (int i = 0; i < 3; i++) {
		m[3 + i] = image_u16_sf(amps / 3, -2);  /* AphA… */
		m[7 + i] = image_u16_sf((x->v[i] + x->v[(i + 1) % 3]) / 2 * sqrt(3), -1); /* PPVphAB… */
		m[10 + i] = image_u16_sf(x->v[i], -1);  /* PhVphA… */
	}
	m[6] = (uint16_t)-2;                            /* A_SF */
	m[13] = (uint16_t)-1;                           /* V_SF */
	m[14] = image_s16_sf(x->w, w_sf);               /* W */
	m[15] = (uint16_t)w_sf;
	m[16] = image_u16_sf(x->hz, -2);                /* Hz */
	m[17] = (uint16_t)-2;
	m[18] = image_s16_sf(fabs(x->w), w_sf);         /* VA */
	m[19] = (uint16_t)w_sf;
	m[20] = 0;                                      /* VAr */
	m[21] = (uint16_t)w_sf;
	m[22] = image_s16_sf(100, -1);                  /* PF */
	m[23] = (uint16_t)-1;
	image_acc32(m + 24, x->wh);                     /* WH */
	m[26] = 0;
	m[27] = image_u16_sf(fabs(x->dc_w) / x->dc_v, -2); /* DCA */
	m[28] = (uint16_t)-2;
	m[29] = image_u16_sf(x->dc_v, -1);              /* DCV */
	m[30] = (uint16_t)-1;
	m[31] = image_s16_sf(x->dc_w, dc_sf);           /* DCW */
	m[32] = (uint16_t)dc_sf;
	m[33] = image_s16_sf(28 + 17 * warm, -1);       /* TmpCab */
	m[34] = image_s16_sf(30 + 30 * warm, -1);       /* TmpSnk */
	m[35] = m[36] = SUNSPEC_NA_S16;                 /* TmpTrns, TmpOt */
	m[37] = (uint16_t)-1;                           /* Tmp_SF */
	m[38] = x->state;                               /* St */
	m[39] = x->vendor_state;                        /* StVnd */
	for (int i = 40; i < 52; i++)
		m[i] = 0;                               /* Evt1, Evt2, EvtVnd1…4: none */
}
