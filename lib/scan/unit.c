#include "unit.h"

#include <string.h>

enum {
	SAME_EXCEPTIONS_MAX = 8,
	ILLEGAL_ADDRESS = 2,       /* MAP 7 */
	FC43_BASIC = 1,            /* MAP 6.21: ReadDevId code */
};

void row_fault(struct scan_row *row, const char *fmt, ...)
{
	va_list args;

	if (row->fault_count == SCAN_FAULTS_MAX)
		return;
	va_start(args, fmt);
	vsnprintf(row->faults[row->fault_count++], sizeof *row->faults, fmt, args);
	va_end(args);
}

void unit_init(struct unit *u, const struct device_catalogue *c)
{
	u->catalogue = c;
	probes_collect(&u->probes, c);
}

void unit_begin(struct unit *u, const struct bus_address *a, uint8_t number)
{
	u->phase = UNIT_WALK;
	u->gave_value = false;
	u->same_exceptions = 0;
	u->probe_at = 0;
	u->known = NULL;
	u->part = 0;
	u->row = (struct scan_row){ .state = SCAN_DEVICE, .address = *a };
	u->row.address.unit = number;
	u->row.address.has_unit = true;
	device_walk_begin(&u->walk);
	probes_forget(&u->probes);
}

bool unit_question(struct unit *u, struct bus_request *q)
{
	const struct device_model *m = &u->walk.found.models[0];
	struct device_probe p = { 0 };

	switch (u->phase) {
	case UNIT_WALK:
		if (!device_walk_next(&u->walk, &p))
			return false;
		break;
	case UNIT_MODEL_1:
		p = (struct device_probe){ BUS_READ_HOLDING, m->address, m->length < 66 ? m->length : 66 };
		break;
	case UNIT_FC43:
		p = (struct device_probe){ BUS_DEVICE_ID, 0, FC43_BASIC };
		break;
	case UNIT_PROBES:
		p = u->probes.ask[u->probe_at];
		break;
	case UNIT_IDENTITY:
		if (!device_profile_identity(u->known, &u->part, &p))
			return false;
		break;
	case UNIT_DONE:
		return false;
	}
	*q = (struct bus_request){ .unit = u->row.address.unit, .function = p.function, .address = p.address,
				   .count = p.count };
	return true;
}

static const struct device_profile *by_sunspec(struct unit *u)
{
	const struct device_sunspec *s = &u->walk.found;
	struct buf b = BUF_INIT;

	u->row.sunspec = *s;
	u->row.match = DEVICE_IDENTIFIED;
	buf_addf(&b, "SunSpec at %u: models", s->base);
	for (size_t i = 0; i < s->model_count; i++)
		buf_addf(&b, "%s%u", i ? ", " : " ", s->models[i].id);
	str_copy(u->row.evidence, sizeof u->row.evidence, b.data);
	buf_release(&b);
	if (u->walk.why[0])
		row_fault(&u->row, "%.90s", u->walk.why);
	return device_sunspec_profile(u->catalogue, s);
}

/* What it is, by what it said until now. */
static void name_unit(struct unit *u)
{
	struct scan_row *row = &u->row;
	const struct device_profile *p;

	p = u->walk.found.found ? by_sunspec(u) : probes_match(&u->probes, u->catalogue, &row->match, row->evidence);
	if (p)
		str_copy(row->profile, sizeof row->profile, device_profile_info(p)->id);
	if (p && !row->identity.make[0]) {
		str_copy(row->identity.make, sizeof row->identity.make, device_profile_info(p)->make);
		if (!u->walk.found.found)
			str_copy(row->identity.model, sizeof row->identity.model, device_profile_info(p)->model);
	}
	if (!p && u->gave_value)
		row_fault(row, "answers, but no profile fits: name one in site.yaml or write one, psec-profile(5)");
	/* A proposal may be wrong, and what its registers say is then no serial number. */
	if (p && !u->walk.found.found && row->match == DEVICE_IDENTIFIED)
		u->known = p;
}

void unit_conclude(struct unit *u)
{
	if (u->phase != UNIT_DONE && u->phase != UNIT_IDENTITY)
		name_unit(u);
	u->phase = UNIT_DONE;
}

/* All registers of signatures were asked. */
static void end_probes(struct unit *u)
{
	name_unit(u);
	u->phase = u->known ? UNIT_IDENTITY : UNIT_DONE;
}

static void walk_answered(struct unit *u, const struct bus_reply *r)
{
	const struct device_sunspec *s = &u->walk.found;
	struct device_probe p;

	device_walk_answer(&u->walk, r ? r->regs : NULL, r ? r->count : 0);
	if (device_walk_next(&u->walk, &p))
		return;
	if (s->found && s->model_count && s->models[0].id == 1 && s->models[0].length >= 64)
		u->phase = UNIT_MODEL_1;
	else if (s->found)
		unit_conclude(u);
	else
		u->phase = UNIT_FC43;
}

void unit_answer(struct unit *u, const struct bus_reply *reply)
{
	const struct bus_reply *r = reply && reply->outcome == BUS_OK ? reply : NULL; /* a value */

	if (r) {
		u->gave_value = true;
		u->same_exceptions = 0;
	} else if (reply) {
		/* That it has not the address is how a device tells what is another's: never too often. */
		u->same_exceptions = reply->exception == ILLEGAL_ADDRESS ? 0 :
				     reply->exception == u->last_exception ? u->same_exceptions + 1 : 1;
		u->last_exception = reply->exception;
	}
	switch (u->phase) {
	case UNIT_WALK:
		walk_answered(u, r);
		return;
	case UNIT_MODEL_1:
		if (r)
			device_sunspec_identity(r->regs, r->count, &u->row.identity);
		unit_conclude(u);
		return;
	case UNIT_FC43:
		/* What is no identification leaves the unit to its registers. */
		if (r && !device_fc43_identity(r->bytes, r->count, &u->row.identity))
			u->row.identity = (struct device_identity){ 0 };
		u->phase = UNIT_PROBES;
		break;
	case UNIT_PROBES:
		if (r) {
			memcpy(u->probes.regs[u->probe_at], r->regs, r->count * sizeof r->regs[0]);
			u->probes.answered[u->probe_at] = true;
		}
		u->probe_at++;
		break;
	case UNIT_IDENTITY:
		if (r)
			device_profile_identity_take(u->known, u->part, r->regs, &u->row.identity);
		u->part++;
		return;
	case UNIT_DONE:
		return;
	}
	if (u->probe_at >= u->probes.count || u->same_exceptions >= SAME_EXCEPTIONS_MAX)
		end_probes(u);
}
