/* A test or a step that psecd carries out; its rows come as notifications. */
#include "device.h"

struct heard { trial_row_fn *fn; void *arg; struct out_progress progress; };

static int hear(void *arg, const char *topic, const json_t *params, struct err *e)
{
	struct heard *h = arg;
	struct trial_row row;

	if (!str_eq(topic, "trial.row"))
		return 0;
	if (trial_row_from_json(json_object_get(params, "row"), &row, e) < 0)
		return -1;
	h->fn(h->arg, &row);
	return 0;
}

static void look(void *arg)
{
	struct heard *h = arg;
	struct now now = now_read();

	out_progress_step(&h->progress, &now, 0, 0, NULL);
}

int device_carry_by_daemon(const struct cmd_env *env, const char *method, json_t *params, trial_row_fn *fn, void *arg,
			   struct err *e)
{
	struct heard h = { .fn = fn, .arg = arg };
	const struct cmd_carried carried = { .done = "trial.done", .heard = hear, .looked = look, .arg = &h };
	struct now now = now_read();
	int rc;

	out_progress_begin(&h.progress, "psecd tests", &now);
	rc = cmd_carry_by_daemon(env, method, params, &carried, e);
	out_progress_end(&h.progress);
	if (rc == 0 || (rc < 0 && *env->interrupted))
		return err_set(e, ERR_INTERRUPTED, 0, "interrupted");
	return rc < 0 ? -1 : 0;
}
