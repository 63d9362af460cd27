/* A test or a step that psecd carries out; its rows come as notifications. */
#include <string.h>

#include "ctl/ctl.h"
#include "device.h"

enum { ASK_MS = 10000, LOOK_MS = 200 };

/* 1: that was the end. */
static int hear(const char *topic, const json_t *params, trial_row_fn *fn, void *arg, struct err *e)
{
	const char *failure = json_string_value(json_object_get(params, "failure"));
	const char *text = json_string_value(json_object_get(params, "text"));
	struct trial_row row;

	if (str_eq(topic, "trial.row")) {
		if (trial_row_from_json(json_object_get(params, "row"), &row, e) < 0)
			return -1;
		fn(arg, &row);
	} else if (str_eq(topic, "trial.done")) {
		if (failure != NULL && failure[0] != '\0')
			return err_set(e, err_kind_parse(failure), 0, "%s",
				       text != NULL ? text : "psecd could not do it");
		return 1;
	}
	return 0;
}

int device_carry_by_daemon(const struct cmd_env *env, const char *method, json_t *params, trial_row_fn *fn, void *arg,
			   struct err *e)
{
	struct out_progress progress;
	struct ctl_client *c = NULL;
	struct now now = now_read();
	int rc;

	if (cmd_connect_daemon(env, &c, e) < 0) {
		json_decref(params);
		return -1;
	}
	rc = ctl_call(c, method, params, ASK_MS, NULL, e);
	out_progress_begin(&progress, "psecd tests", &now);
	while (rc == 0 && !*env->interrupted) {
		const char *topic = NULL;
		json_t *said = NULL;

		rc = ctl_next(c, LOOK_MS, &topic, &said, e);
		if (rc > 0)
			rc = hear(topic, said, fn, arg, e);
		json_decref(said);
		now = now_read();
		out_progress_step(&progress, &now, 0, 0, NULL);
	}
	out_progress_end(&progress);
	ctl_client_free(c); /* psecd ends what nobody waits for: a step goes back at once */
	if (rc == 0 || (rc < 0 && *env->interrupted))
		return err_set(e, ERR_INTERRUPTED, 0, "interrupted");
	return rc < 0 ? -1 : 0;
}
