/* psec device models: all that a SunSpec device says, model by model. */
#include <math.h>
#include <string.h>

#include "device.h"
#include "poll/poll.h"

struct options { int64_t timeout_ms; };

enum { MODELS_MODEL, MODELS_POINT, MODELS_VALUE, MODELS_UNIT, MODELS_RAW, MODELS_QUALITY, MODELS_WHY, MODELS_AT,
       MODELS_SET };
static const struct out_column columns[] = {
	[MODELS_MODEL] = { "model", "MODEL", NULL, OUT_INT, 0, 0 },
	[MODELS_POINT] = { "point", "POINT", NULL, OUT_TEXT, 0, 0 },
	[MODELS_VALUE] = { "value", "VALUE", NULL, OUT_JSON, 0, 0 },
	[MODELS_UNIT] = { "unit", "UNIT", NULL, OUT_TEXT, 0, 0 },
	[MODELS_RAW] = { "raw", "RAW", NULL, OUT_JSON, 0, 0 },
	[MODELS_QUALITY] = { "quality", "", NULL, OUT_TEXT, 0, OUT_JSON_ONLY },
	[MODELS_WHY] = { "why", "WHY NOT", NULL, OUT_TEXT, 0, 0 },
	[MODELS_AT] = { "address", "AT", NULL, OUT_INT, 0, 0 },
	[MODELS_SET] = { "writable", "SET", NULL, OUT_BOOL, 0, 0 },
};

struct told { struct out *o; FILE *err; int64_t only; uint16_t model; size_t rows; };

static void put_point(void *arg, const struct device_model_point *p)
{
	struct told *t = arg;

	out_row(t->o);
	out_int(t->o, MODELS_MODEL, t->model);
	out_text(t->o, MODELS_POINT, p->name);
	if (p->quality == DEVICE_GOOD && p->is_text)
		out_json(t->o, MODELS_VALUE, json_string(p->text), p->text);
	else if (p->quality == DEVICE_GOOD)
		device_put_number(t->o, MODELS_VALUE, p->value, NULL);
	out_text(t->o, MODELS_UNIT, p->unit);
	device_put_number(t->o, MODELS_RAW, p->raw, NULL);
	out_text(t->o, MODELS_QUALITY, device_quality_name(p->quality));
	out_text(t->o, MODELS_WHY, p->quality != DEVICE_GOOD ? p->why : NULL);
	out_int(t->o, MODELS_AT, p->address);
	out_bool(t->o, MODELS_SET, p->writable);
	t->rows++;
}

static void put_model(void *arg, const struct device_model *m, const uint16_t *regs)
{
	struct told *t = arg;
	struct err e;

	if (t->only != 0 && t->only != m->id)
		return;
	t->model = m->id;
	if (device_model_points(m, regs, put_point, t, &e) < 0)
		fprintf(t->err, "psec: model %u at %u is none that psec knows: its %u registers are left out\n", m->id,
			m->address, m->length);
}

static int run(const struct cmd_env *env, const void *options, int argc, char **argv, struct err *e)
{
	auto_out struct out *o = out_new(columns, COUNT_OF(columns), cmd_form(env, false));
	const struct options *opt = options;
	struct told told = { .o = o, .err = env->err };
	struct site_device d;
	bool by_name;
	char why[80];

	if (argc > 1 && !parse_int(argv[1], 1, 65534, &told.only))
		return err_set(e, ERR_USAGE, 0, "MODEL is '%s', must be the number of a SunSpec model", argv[1]);
	if (device_find_target(env, NULL, argv[0], &d, &by_name, e) < 0 ||
	    (by_name && device_refuse_polled(env, &d.address, e) < 0))
		return -1;
	if (poll_models_once(&d.address, (int)opt->timeout_ms, put_model, &told, why, e) < 0)
		return -1;
	if (why[0] != '\0')
		fprintf(env->err, "psec: %s\n", why);
	if (told.only != 0 && told.rows == 0)
		return err_set(e, ERR_INPUT, 0, "%s has no model %lld", argv[0], (long long)told.only);
	return cmd_print(env, o, e);
}

static const struct options defaults = { .timeout_ms = 30000 };
static const struct cmd_opt opts[] = {
	{ .name = "timeout", .letter = 't', .type = CMD_DURATION, .offset = offsetof(struct options, timeout_ms),
	  .value = "DURATION", .summary = "give up after this", .min = 100, .max = 600000 },
};
static const struct cmd_arg args[] = { { "NAME|ADDRESS", true, false, "device" }, { "MODEL", false, false, NULL } };
const struct cmd cmd_device_models = {
	.name = "models", .summary = "all that a SunSpec device says, model by model",
	.more = "Every point of every model, groups included (module[2].DCW), scaled and raw, in\n"
		"the signs and units of the model: what a profile may name. Nothing is ever\n"
		"written.",
	.example = "psec device models tcp://192.168.1.20#1\n"
		   "psec device models tcp://192.168.1.20#1 160 --json",
	.opts = opts, .opt_count = COUNT_OF(opts), .args = args, .arg_count = COUNT_OF(args),
	.flags = CMD_JSON | CMD_CSV, .defaults = &defaults, .options_size = sizeof(struct options), .run = run,
};
