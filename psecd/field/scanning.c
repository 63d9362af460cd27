/* scanning: a scan that somebody asked core for is carried out here, where the devices' side is; rows go to core
 * as they come. */
#include "field.h"

enum { STEP_MS = 250, RETRY_MS = 50 };

struct scanning {
	uint64_t id;
	struct scan *scan;
	struct wire_scan_row *rows;      /* that core has not read yet */
	size_t count, sent;
	bool done;
	struct wire_scan_done last;
	int64_t step_boot_us;
	struct loop_timer again;
};

static void drain(void *arg);

static void drain_soon(struct field *f, int64_t in_ms)
{
	loop_timer_set(f->loop, &f->scanning->again, loop_now(f->loop)->boot_us + in_ms * US_PER_MS);
}

static void on_row(void *arg, const struct scan_row *row)
{
	struct field *f = arg;
	struct scanning *s = f->scanning;

	s->rows = xrealloc(s->rows, s->count + 1, sizeof(*s->rows));
	s->rows[s->count++] = (struct wire_scan_row){ .id = s->id, .row = *row };
	drain_soon(f, 0);
}

static void on_progress(void *arg, const struct scan_progress *p)
{
	struct field *f = arg;
	struct wire_scan_step w = { .id = f->scanning->id, .progress = *p };
	int64_t now_us = loop_now(f->loop)->boot_us;

	if (now_us - f->scanning->step_boot_us < STEP_MS * US_PER_MS)
		return;
	f->scanning->step_boot_us = now_us;
	(void)staff_tell_core(f, WIRE_SCAN_STEP, &w, sizeof(w));
}

static void on_done(void *arg)
{
	struct field *f = arg;
	struct buf text = BUF_INIT;

	scan_explain(f->scanning->scan, &text);
	if (text.data)
		str_copy(f->scanning->last.text, sizeof(f->scanning->last.text), text.data);
	buf_release(&text);
	f->scanning->done = true;
	drain_soon(f, 0); /* not from within its own call: drain frees it */
}

static void drain(void *arg)
{
	struct field *f = arg;
	struct scanning *s = f->scanning;
	int sent = 1;

	for (; s->sent < s->count && sent == 1; s->sent += sent == 1)
		sent = staff_tell_core(f, WIRE_SCAN_ROW, &s->rows[s->sent], sizeof(s->rows[0]));
	if (sent == 1 && s->done)
		sent = staff_tell_core(f, WIRE_SCAN_DONE, &s->last, sizeof(s->last));
	if (sent == 0)
		drain_soon(f, RETRY_MS);
	else if (sent < 0 || s->done)
		scanning_end(f, s->id);
}

void scanning_begin(struct field *f, const struct wire_scan *w)
{
	const struct scan_hooks hooks = { .row = on_row, .progress = on_progress, .done = on_done, .arg = f };
	const char *targets[SCAN_TARGETS_MAX];
	struct scan_options o;
	struct scanning *s;
	struct err e;

	scanning_end(f, UINT64_MAX); /* core has one at a time */
	scan_options_default(&o);
	if (w->options.pace_per_s > 0)
		o.pace_per_s = w->options.pace_per_s;
	if (w->options.connect_ms > 0)
		o.connect_ms = w->options.connect_ms;
	if (w->options.answer_ms > 0)
		o.answer_ms = w->options.answer_ms;
	o.every_unit = w->options.every_unit;
	for (uint32_t i = 0; i < w->count; i++)
		targets[i] = w->targets[i];
	s = f->scanning = xcalloc(1, sizeof(*s));
	s->id = s->last.id = w->id;
	s->again = (struct loop_timer){ .fn = drain, .arg = f };
	if (scan_new(f->loop, f->catalogue, targets, w->count, &o, &hooks, &s->scan, &e) < 0) {
		s->last.kind = (int32_t)e.kind;
		str_copy(s->last.text, sizeof(s->last.text), e.text);
		s->done = true;
		drain_soon(f, 0);
		return;
	}
	for (size_t i = 0; i < f->site->device_count; i++)
		scan_leave_alone(s->scan, &f->site->devices[i].address, f->site->devices[i].name);
	scan_start(s->scan);
}

/* id UINT64_MAX: whichever runs. */
void scanning_end(struct field *f, uint64_t id)
{
	struct scanning *s = f->scanning;

	if (!s || (id != UINT64_MAX && id != s->id))
		return;
	loop_timer_stop(f->loop, &s->again);
	if (s->scan)
		scan_free(s->scan);
	free(s->rows);
	free(s);
	f->scanning = NULL;
}
