/* core's own parts: what is known of the field (known), what is kept over a restart (keep), the store's side
 * (record), what is told to people (report), and who may ask what (methods). */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include <jansson.h>

#include "base/base.h"
#include "bus/bus.h"
#include "control/control.h"
#include "ctl/ctl.h"
#include "device/device.h"
#include "jot/jot.h"
#include "loop/loop.h"
#include "right/right.h"
#include "site/site.h"
#include "store/store.h"
#include "wire/wire.h"

enum { LAST_EVENTS = 5 };

/* One point of one device, as last heard. */
struct known_point {
	bool heard;
	struct wire_sample sample;
	char *why;               /* no value: why, or NULL */
	int64_t stored_boot_us;  /* when it last went to the store's queue */
};

struct known_device {
	bool heard;
	struct wire_device last;
	struct known_point points[POINT_COUNT];
};

struct wish { /* what people and the site want of control */
	enum site_mode mode;
	double manual_w, target_w;
};

struct proof { /* the sign check that stands */
	bool there;
	int64_t at_utc_us;
	double step_w, before_w, after_w;
	char devices[512];       /* whose: role, profile, serial … */
};

struct core {
	struct loop *loop;
	const struct wire_start *start;
	const struct site *site;
	struct ctl_server *ctl;
	bool stopping;           /* the supervisor said so: the field's end is no news */
	bool failed;             /* ended for a reason that is not the supervisor's wish */

	/* processes */
	struct wire *supervisor, *field;
	uint64_t generation;
	bool field_ready;        /* it polls and has told what it knows */
	/* it was there or broke the contract, and is not back yet; else it is still starting */
	bool field_lost;
	struct wire_staff staff;

	/* known */
	struct known_device *devices;
	bool decided;
	struct wire_decision decision;

	/* kept */
	struct wish wish;
	bool wish_unkept;        /* mode off holds, but the store did not take it */
	struct wish kept;        /* what the store has */
	char unkept_who[64];     /* who wants what it has not */
	struct proof proof;
	bool check_runs;
	char check_who[64];
	struct wire_checked last_check;
	bool last_check_there;
	struct control_envelope envelope;
	uint64_t envelope_serial;
	struct loop_timer renew;

	/* store */
	struct store *store;
	char store_fault[160];   /* why the last write failed, or "" */
	struct record *record;
	struct quota *quota;
	struct audited *audited;
	json_t *last_events;     /* an array of the last few */
	struct store_size size;
	int64_t size_at_boot_us;

	/* told */
	struct loop_timer live;
	int64_t live_at_boot_us;
	uint64_t scan_id;
	struct ctl_peer *scan_peer;
	struct core_trial { uint64_t id; struct ctl_peer *peer; int device; bool step_out; /* no end heard */ } trial;
};

/* ---- staff.c: the other processes ---- */
must_check int core_meet_supervisor(struct core *c, struct err *e);
/* 1 sent; otherwise the field is gone or does not read. */
int core_tell_field(struct core *c, enum wire_kind kind, const void *body, size_t len);

/* ---- known.c: what the field says, judged; NULL, or how it broke the contract ---- */
const char *known_take(struct core *c, enum wire_kind kind, const void *body);
void known_field_gone(struct core *c);
/* The last value of a role's point, of the first device that has it; NAN when there is no good one. */
double known_value(const struct core *c, enum site_role role, enum device_point p, int64_t *at_boot_us);
/* Of the oldest good value of the role's point among all devices; 0 when there is none. */
int64_t known_age_us(const struct core *c, enum site_role role, enum device_point p);
/* Sum over all devices of the role; NAN when one of them has no good value, 0 when there is none. */
double known_sum(const struct core *c, enum site_role role, enum device_point p);

/* ---- keep.c: mode, target and the sign check's proof, over restarts; the envelope made of them ---- */
must_check int keep_load(struct core *c, struct err *e);
/* Change the wish: stored first, then the field is told, then it is an event. Off holds also when the store fails. */
must_check int keep_wish(struct core *c, const struct wish *w, const char *who, struct err *e);
/* The store takes again: what it could not keep. */
void keep_again(struct core *c);
void keep_send_envelope(struct core *c);
/* The devices may have become others: does the proof still stand? */
void keep_judge_proof(struct core *c);
must_check int keep_begin_check(struct core *c, const char *who, struct err *e);
void keep_check_result(struct core *c, const struct wire_checked *w);
/* The field saw the meter go with the battery: what the sign check proved is true no longer. */
void keep_meter_turned(struct core *c);
bool keep_proof_stands(const struct core *c);

/* ---- record.c: samples and events on their way to the store ---- */
void record_init(struct core *c);
void record_release(struct core *c);
void record_sample(struct core *c, int device, int point, const struct wire_sample *s);
void record_decision(struct core *c);
void record_flush(struct core *c);
void record_event(struct core *c, enum severity severity, const char *kind, const char *subject, const char *who,
		  const char *fmt, ...) printf_like(6, 7);
/* true: it is in the database. */
bool record_event_at(struct core *c, int64_t utc_us, enum severity severity, const char *kind,
		     const char *subject, const char *who, const char *text);
/* The store failed: said once, in the log. */
void record_failed(struct core *c, const struct err *e);
json_t *record_event_json(const struct store_event *event);
void record_remember(void *core, const struct store_event *event); /* among the last few, for status */

/* ---- quota.c: how many events the field may raise, and refused callers ---- */
struct bucket { int taken; int64_t since_boot_us; };
/* One more within burst, of which one comes back every refill. */
bool bucket_take(struct bucket *b, int burst, int64_t refill_ms, int64_t now_us);
/* When what was kept back is said: after 10 s, and, while there is more each time, ever later, up to an hour. */
struct saying { int64_t after_ms; struct loop_timer timer; };
void saying_init(struct core *c, struct saying *s, void (*say)(void *core));
void saying_soon(struct core *c, struct saying *s); /* something was kept back */
void saying_again(struct core *c, struct saying *s, bool said); /* the end of say: was there something? */
void quota_init(struct core *c);
void quota_release(struct core *c);
/* false: it is counted and not kept; the count is said by itself. */
bool quota_allows(struct core *c, enum severity severity, const char *kind, const char *subject, const char *text);

/* ---- audited.c: the audit log ---- */
/* With the store open: notes a configuration that is another one, and a log that begins anew. */
void audited_init(struct core *c, bool recovered);
void audited_release(struct core *c);
/* Who did what; bounded for each caller and kind, so that 0 may also mean counted. detail is stolen. Within store_begin
 * it is kept with what it tells of, or neither is. */
must_check int audited_put(struct core *c, const char *who, const char *kind, const char *subject, json_t *detail,
			   struct err *e);
/* What has happened already: a store that fails is said and stops nothing. */
void audited(struct core *c, const char *who, const char *kind, const char *subject, json_t *detail);

/* ---- report.c: JSON for people and scripts ---- */
json_t *report_control(struct core *c);
json_t *report_status(struct core *c);
/* devices.c */
json_t *report_device(const struct core *c, size_t device);        /* in short, for every status */
json_t *report_devices(const struct core *c, size_t from);         /* what was counted, a page of them */
json_t *report_points(struct core *c, int device);
json_t *report_check(const struct wire_checked *w);
/* Something changed: tell the subscribers of "live", at most twice a second. */
void report_changed(struct core *c);

/* ---- methods.c, change.c: the control socket ---- */
must_check int methods_serve(struct core *c, struct err *e);
struct call {
	struct core *core;
	struct ctl_peer *peer;
	const struct right_caller *caller;
	const json_t *params;
};
int change_mode(const struct call *k, json_t **result, struct err *e);
int change_set(const struct call *k, json_t **result, struct err *e);
int change_off(const struct call *k, json_t **result, struct err *e);
int change_check(const struct call *k, json_t **result, struct err *e);
/* audited.c */
int audited_page(const struct call *k, json_t **result, struct err *e);
int audited_last(const struct call *k, json_t **result, struct err *e);
int audited_append(const struct call *k, json_t **result, struct err *e);
int audited_head(const struct call *k, json_t **result, struct err *e);
/* scanning.c */
int scanning_scan(const struct call *k, json_t **result, struct err *e);
bool scanning_take_row(struct core *c, const struct wire_scan_row *w);
bool scanning_take_step(struct core *c, const struct wire_scan_step *w);
bool scanning_take_done(struct core *c, const struct wire_scan_done *w);
void scanning_peer_gone(struct core *c, const void *peer_data);
void scanning_field_gone(struct core *c);
/* trying.c */
int trying_test(const struct call *k, json_t **result, struct err *e);
int trying_step(const struct call *k, json_t **result, struct err *e);
bool trying_take_row(struct core *c, const struct wire_trial_row *w);
bool trying_take_done(struct core *c, const struct wire_trial_done *w);
void trying_peer_gone(struct core *c, const void *peer_data);
void trying_field_gone(struct core *c);
void trying_field_ready(struct core *c);
/* true: present and of that kind; params' words are checked here once. */
must_check int param_text(const json_t *params, const char *key, bool required, const char **out, struct err *e);
must_check int param_real(const json_t *params, const char *key, bool required, double min, double max, double *out,
			  struct err *e);
must_check int param_int(const json_t *params, const char *key, int64_t min, int64_t max, int64_t *out, struct err *e);

#endif
