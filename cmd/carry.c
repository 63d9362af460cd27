/* What psecd carries out on request and tells in notifications: a scan, a test, a step. */
#include "cmd.h"
#include "ctl/ctl.h"

enum { ASK_MS = 10000, LOOK_MS = 200 /* how often Ctrl-C is looked for */ };

/* 1: that was the end. */
static int hear(const struct cmd_carried *c, const char *topic, const json_t *params, struct err *e)
{
	const char *failure = json_string_value(json_object_get(params, "failure"));
	const char *text = json_string_value(json_object_get(params, "text"));

	if (!str_eq(topic, c->done))
		return c->heard(c->arg, topic, params, e);
	if (failure && failure[0])
		return err_set(e, err_kind_parse(failure), 0, "%s", text ? text : "psecd could not do it");
	if (c->said)
		buf_adds(c->said, text ? text : "");
	return 1;
}

int cmd_carry_by_daemon(const struct cmd_env *env, const char *method, json_t *params, const struct cmd_carried *c,
			struct err *e)
{
	struct ctl_client *client = NULL;
	int rc;

	if (cmd_connect_daemon(env, &client, e)) {
		json_decref(params);
		return -1;
	}
	rc = ctl_call(client, method, params, ASK_MS, NULL, e);
	while (rc == 0 && !*env->interrupted) {
		const char *topic = NULL;
		json_t *told = NULL;

		rc = ctl_next(client, LOOK_MS, &topic, &told, e);
		if (rc > 0)
			rc = hear(c, topic, told, e);
		json_decref(told);
		if (c->looked)
			c->looked(c->arg);
	}
	ctl_client_free(client); /* psecd ends what nobody waits for: a step goes back at once */
	return rc;
}
