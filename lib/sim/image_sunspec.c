/* What SunSpec devices share: the mark, model 1, model 103, the end. Offsets count from a model's id, as in the
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
