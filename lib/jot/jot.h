/* jot: what we hold as JSON values, made once for all who print or send them. New references, never NULL.
 *
 * Text may come from a device, and JSON takes UTF-8 alone: what is none, and what would drive a terminal, is escaped.
 */
#ifndef PSEC_JOT_H
#define PSEC_JOT_H

#include <jansson.h>

#include "base/base.h"

json_t *jot_text(const char *s);        /* "" for NULL */
json_t *jot_word(const char *s);        /* null for "" and NULL */
json_t *jot_lines(const char *s);       /* as jot_text, but line ends stay */
json_t *jot_number(double v);           /* null for NaN and infinities */
json_t *jot_real_text(double v);        /* as a text of 9 figures, where a number must be spelt one way; or null */
json_t *jot_time(int64_t utc_us);       /* RFC 3339 */

#endif
