/* What psecd says of a site (control.status, status, "live"), as words for people. Missing values are NaN or "". */
#ifndef PSEC_CMD_LIVE_H
#define PSEC_CMD_LIVE_H

#include <jansson.h>

#include "base/base.h"
#include "cmd.h"

enum { LIVE_TEXT = 160 };

double live_real(const json_t *o, const char *key);
/* Made printable; returns to. */
char *live_text(const json_t *o, const char *key, char to[LIVE_TEXT]);
/* "1.2 kW", "-" without a value; returns to. */
char *live_power(double w, char to[32]);
/* "1.2 kW import", "800 W charging", "0 W": a power with a word for its direction. */
char *live_directed(double w, const char *positive, const char *negative, char to[64]);
/* Why a value that is shown is not to be trusted, or ""; returns to. */
char *live_doubt(const json_t *o, const char *key, char to[LIVE_TEXT]);
/* Has one of status's devices that role? */
bool live_has_role(const json_t *device, enum site_role role);
/* "12:00:03" of an RFC 3339 text, or the text; returns to. */
char *live_clock(const json_t *o, const char *key, char to[LIVE_TEXT]);
/* What a state of control means, or "". */
const char *live_state_words(const char *state);
/* "passed 2026-10-01 12:00: the meter went from 812 W to 318 W", or what to do; returns to. */
char *live_check_words(const json_t *o, char to[LIVE_TEXT]);

/* "0.41 ms (median of 120; 99.9 % below 0.90 ms)": from the meter's sample to the set-point on the wire, or "";
 * returns to. */
char *live_reaction(const json_t *o, char to[LIVE_TEXT]);

/* Lines for people: the decision in short, and (why) what led to it. */
void live_summary(struct buf *b, const json_t *o, bool why);
/* On stderr, where psecd took the wish and its full disk did not. */
void live_warn_unkept(const struct cmd_env *env, const json_t *wish);
/* The last events, a line each, with indent blanks before it. */
void live_events(struct buf *b, const json_t *o, int indent);

#endif
