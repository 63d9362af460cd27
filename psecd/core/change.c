/* change: what people may have done: mode, set-point, sign check. */
#include "core.h"

#include <string.h>

enum { POWER_MAX_W = 10000000 };

static int wish(const struct call *k, const struct wish *w, json_t **result, struct err *e)
{
	if (keep_wish(k->core, w, k->caller->name, e) < 0)
		return -1;
	*result = json_pack("{s:s, s:o, s:o, s:b}", "mode", site_mode_name(w->mode), "manual_w",
			    jot_number(w->manual_w), "target_w", jot_number(w->target_w), "kept",
			    !k->core->wish_unkept);
	return 0;
}

/* {mode} */
int change_mode(const struct call *k, json_t **result, struct err *e)
{
	struct wish w = k->core->wish;
	const char *mode = NULL;

	if (param_text(k->params, "mode", true, &mode, e) < 0)
		return -1;
	if (!site_mode_parse(mode, &w.mode))
		return err_set(e, ERR_USAGE, 0,
			       "there is no mode '%.40s'; there are off, manual, self-consumption and observe", mode);
	return wish(k, &w, result, e);
}

/* {power_w}: battery power, and mode manual. {target_w}: the grid power that self-consumption holds. */
int change_set(const struct call *k, json_t **result, struct err *e)
{
	struct wish w = k->core->wish;
	bool power = json_object_get(k->params, "power_w"), target = json_object_get(k->params, "target_w");

	if (!power && !target)
		return err_set(e, ERR_USAGE, 0, "parameter 'power_w' or 'target_w' is needed");
	if (param_real(k->params, "power_w", false, -POWER_MAX_W, POWER_MAX_W, &w.manual_w, e) < 0 ||
	    param_real(k->params, "target_w", false, -POWER_MAX_W, POWER_MAX_W, &w.target_w, e) < 0)
		return -1;
	if (power)
		w.mode = SITE_MODE_MANUAL;
	return wish(k, &w, result, e);
}

int change_off(const struct call *k, json_t **result, struct err *e)
{
	struct wish w = k->core->wish;

	w.mode = SITE_MODE_OFF;
	return wish(k, &w, result, e);
}

/* Its end is the notification "check". */
int change_check(const struct call *k, json_t **result, struct err *e)
{
	ctl_peer_subscribe(k->peer, "check");
	if (keep_begin_check(k->core, k->caller->name, e) < 0)
		return -1;
	*result = json_pack("{s:b}", "started", 1);
	return 0;
}
