/* The parts of psec device; only for cmd/device*.c. */
#ifndef PSEC_CMD_DEVICE_H
#define PSEC_CMD_DEVICE_H

#include "cmd.h"
#include "device/device.h"
#include "trial/trial.h"

extern const struct cmd cmd_device_read, cmd_device_test, cmd_device_identify, cmd_device_new, cmd_device_models;

/* ---- device_target.c ---- */
/* The site's profiles and the installed ones; faults go to env->err. Caller frees with device_catalogue_free. */
must_check int device_load_profiles(const struct cmd_env *env, struct device_catalogue **c, struct err *e);
/* The one of that id; the words tell when it may be among those with faults. */
must_check int device_profile_named(const struct device_catalogue *c, const char *id, const struct device_profile **out,
				    struct err *e);
/* "tcp://…", "rtu:…", "rtu+tcp://…": no name of a device. */
bool device_is_address(const char *word);
/* A device of the site by its name, or an address; profile (may be NULL) stands before the site's. An address that
 * psecd polls is refused. */
must_check int device_find_target(const struct cmd_env *env, const char *profile, const char *word,
				  struct site_device *out,
				  bool *by_name, struct err *e);
/* Who asks what was found: 1: psecd, which has it by its name and its own profile; 0: this process; -1: nobody, since
 * psecd polls there. */
must_check int device_by_daemon(const struct cmd_env *env, const char *profile, const struct site_device *d,
				bool by_name, struct err *e);
/* ERR_AGAIN when psecd runs and polls on that connection or line: one reader a line. */
must_check int device_refuse_polled(const struct cmd_env *env, const struct bus_address *a, struct err *e);
/* d's profile, else the one that fits its SunSpec models. */
must_check int device_choose_profile(const struct device_catalogue *c, const struct site_device *d, int timeout_ms,
				     const struct device_profile **out, struct err *e);
/* "3.4 kW", "231.2 V"; unit NULL or "": a bare number. Returns to. */
char *device_number_words(double value, const char *unit, char to[32]);
/* The number and its words as a cell; NaN is not set. */
void device_put_number(struct out *o, size_t column, double value, const char *unit);

/* ---- device_carry.c ---- */
/* Ask psecd for it (params is stolen), rows to fn until its end; Ctrl-C is ERR_INTERRUPTED, and psecd ends it. */
must_check int device_carry_by_daemon(const struct cmd_env *env, const char *method, json_t *params, trial_row_fn *fn,
				      void *arg, struct err *e);

#endif
