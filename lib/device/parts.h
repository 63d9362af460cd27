/* parts: what the files of this folder share and no other room sees: a profile taken apart, SunSpec's models, raw
 * values. */
#ifndef PSEC_DEVICE_PARTS_H
#define PSEC_DEVICE_PARTS_H

#include "conf/conf.h"
#include "device/device.h"

enum {
	PARTS_NAME = 24, PARTS_PATH = 64, PARTS_TEXT = 33,
	PARTS_MODELS = 12, PARTS_ABSENT = 8, PARTS_CHOICES = 8, PARTS_EQUALS = 16, PARTS_TERMS = 8, PARTS_DEPTH = 4,
	PARTS_UNITS = 16, PARTS_CONDITIONS = 8, PARTS_GROUPS = 4,
	PARTS_FILE_MAX = 64 * 1024,
};

/* ---- role.c ---- */
enum device_rate point_rate(enum device_point p);  /* unless the profile says otherwise */
bool point_is_control(enum device_point p);        /* an input of the control law */

/* ---- where a value lies: registers by number, or a point of a SunSpec model ---- */
struct choice { int64_t raw; double value; };
struct source {
	bool sunspec;
	uint16_t models[PARTS_MODELS]; /* the first that the device has is taken */
	size_t model_count;
	char name[PARTS_PATH];         /* of the SunSpec point, "module[*].DCW" is one of a group; else for people */
	uint8_t function;
	uint16_t address, count;
	enum device_type type;
	enum device_order order;
	double scale;
	uint64_t absent[PARTS_ABSENT]; /* raw values that mean "not available" */
	size_t absent_count;
	uint32_t mask;                 /* not 0: the value is 1 when any of these bits is set, else 0 */
	bool each;                     /* the name has [*]: one value for each of the group */
	struct choice choices[PARTS_CHOICES]; /* when there are any: raw stands for value, others are absent */
	size_t choice_count;
	int line;
};

/* ---- how a point comes from values ---- */
enum expr_kind { EXPR_VALUE, EXPR_SUM, EXPR_PRODUCT, EXPR_FIRST /* that is not absent */, EXPR_LEAST, EXPR_GREATEST };
const char *expr_word(enum expr_kind k); /* "sum"; "" for a value */
struct expr {
	enum expr_kind kind;
	struct source source;          /* EXPR_VALUE */
	struct expr *terms[PARTS_TERMS];
	size_t term_count;
	double scale;                  /* of the result, other than EXPR_VALUE */
	bool skip_absent;              /* EXPR_SUM: of those that are there, as many as there are */
};
void expr_free(struct expr *x);
/* Every place that x (may be NULL) comes from, in order, until fn is not 0; returns that. */
typedef int source_fn(void *arg, const struct source *s);
int expr_each(const struct expr *x, source_fn *fn, void *arg);

struct point_def { enum device_point point; enum device_rate rate; struct expr *expr; int line; };

/* One register write among those that set a point. */
enum step_kind { STEP_CONSTANT, STEP_VALUE, STEP_SIGN };
struct step {
	struct source target;          /* function: of the write */
	uint8_t read_function;         /* 0: cannot be read back */
	enum step_kind kind;
	double constant, negative, zero, positive; /* STEP_SIGN picks by the value's sign */
	bool magnitude;                /* STEP_VALUE without its sign */
	struct expr *percent_of;       /* STEP_VALUE in percent of this, or NULL */
	bool when_changed, optional;   /* optional: left out when the device has no such register */
};
struct write_def {
	enum device_point point;
	struct step steps[DEVICE_WRITES_MAX];
	size_t step_count;
	double min, max;               /* what the device takes; the point's own range unless the profile says */
	int line;
};

/* What a probe's answer must show. */
struct condition {
	struct source source;
	bool has_range;
	double min, max;
	double equals[PARTS_EQUALS];
	size_t equal_count;
	char starts[PARTS_TEXT];       /* DEVICE_TEXT */
	char what[PARTS_NAME], unit[8];
};

enum identity_part { IDENTITY_MAKE, IDENTITY_MODEL, IDENTITY_SERIAL, IDENTITY_VERSION, IDENTITY_PARTS };

struct device_profile {
	struct device_profile_info info;
	char *id, *make, *model, *source, *note, *file;
	uint8_t units[PARTS_UNITS];
	struct point_def points[POINT_COUNT];
	size_t point_count;
	struct write_def *writes;      /* few profiles have any */
	size_t write_count;
	struct expr *identity[IDENTITY_PARTS];
	struct condition conditions[PARTS_CONDITIONS]; /* those of the signature first */
	struct device_probe probes[PARTS_CONDITIONS];  /* of the condition of the same index */
	size_t condition_count, signature_count;
	struct { uint16_t models[PARTS_MODELS]; size_t count; } needs[PARTS_GROUPS]; /* one model of each */
	size_t need_count;
	uint16_t likes[PARTS_MODELS];
	size_t like_count;
	bool by_hand;                  /* sunspec.propose is false: never proposed for its models */
};

/* profile.c: from text; NULL when it has a fault (reported). Caller frees. */
struct device_profile *profile_parse(const char *text, size_t len, const char *file, struct diag_sink *sink);
void profile_free(struct device_profile *p);
/* Every place that a profile reads or writes: points, writes, identity. Likewise. */
int profile_each(const struct device_profile *p, source_fn *fn, void *arg);

/* The parts of a profile. false, or NULL: reported. */
struct parse { const struct conf *conf; struct diag_sink *sink; struct source defaults; bool sunspec; };
/* source.c */
bool parse_fault(const struct parse *p, const struct conf_node *n, const char *text); /* reports; always false */
bool parse_source(const struct parse *p, const struct conf_node *n, struct source *out);
/* Type and order of a register, where they are given; text: may it be one? */
bool parse_form(const struct parse *p, const struct conf_node *n, bool text, struct source *out);
bool parse_models(const struct parse *p, const struct conf_node *n, uint16_t models[PARTS_MODELS], size_t *count);
/* One number or a list of them. */
bool parse_numbers(const struct parse *p, const struct conf_node *n, int64_t min, int64_t max, size_t most,
		   int64_t *out, size_t *count);
/* expr.c */
struct expr *parse_expr(const struct parse *p, const struct conf_node *n, int depth);
/* Two values of a profile share registers without being the same: a typing error. */
void check_overlap(const struct parse *p, const struct device_profile *profile);
/* step.c */
bool parse_step(const struct parse *p, const struct conf_node *n, struct step *out);
bool parse_condition(const struct parse *p, const struct conf_node *n, struct condition *out);

/* ---- sunspec.c: a model's definition, held only while a map is made ---- */
struct sunspec_point {
	char name[PARTS_NAME], sf[PARTS_NAME]; /* sf: the scale factor's name, or "" */
	char units[16];
	int sf_constant;
	uint16_t group, offset, size;  /* registers, from the beginning of its group */
	enum device_type type;
	bool has_absent, is_sf, is_pad, writable;
	uint64_t absent;
};
enum repeat { REPEAT_ONCE, REPEAT_COUNTED, REPEAT_TO_END };
struct sunspec_group {
	char name[32];
	int parent;                    /* -1: the model itself, whose first two registers are id and length */
	enum repeat repeat;
	char count[PARTS_NAME];        /* REPEAT_COUNTED: the point of the model that says how often */
	uint16_t size;                 /* registers of its own points */
	size_t first, points;          /* they are points[first …] */
};
struct sunspec_model {
	uint16_t id;
	bool borrowed;                 /* from keep.c */
	struct sunspec_point *points;
	size_t count;
	struct sunspec_group *groups;  /* each before what lies in it */
	size_t group_count;
};
must_check int sunspec_model_load(uint16_t id, struct sunspec_model *out, struct err *e);
void sunspec_model_release(struct sunspec_model *m);
/* Models that were loaded when they were first asked for. get: NULL when it cannot be; good until the next get. */
struct sunspec_models { struct sunspec_model *all; size_t count; };
must_check const struct sunspec_model *sunspec_models_get(struct sunspec_models *s, uint16_t id, struct err *e);
void sunspec_models_release(struct sunspec_models *s);
/* keep.c: the model if this process keeps it, or NULL. */
const struct sunspec_model *sunspec_model_kept(uint16_t id);

/* ---- places.c: where a model's points lie on a device, whose model has length registers after id and length ---- */
struct place {
	const struct sunspec_point *point;
	char name[PARTS_PATH];         /* "W", "module[2].DCW" */
	uint16_t offset;               /* from the first register after id and length */
	int sf_offset;                 /* of its scale factor; -1: none, or not there */
};
/* The n-th place (from 0) that pattern names: "W", "module[2].DCW", "module[*].DCW". How often a group is there follows
 * from the length; a group in a repeated group cannot be told from it and is not found. */
must_check bool sunspec_place(const struct sunspec_model *m, uint16_t length, const char *pattern, size_t n,
			      struct place *out);
/* Every place, in the order of the registers; regs says how often counted groups are there. */
typedef void sunspec_place_fn(void *arg, const struct place *p);
void sunspec_places(const struct sunspec_model *m, const uint16_t *regs, uint16_t length, sunspec_place_fn *fn,
		    void *arg);
/* NULL when pattern names a point of the model as it must be named, else what is wrong. */
const char *sunspec_pattern_fault(const struct sunspec_model *m, const char *pattern);

/* check.c: that a profile's SunSpec points are points of their models. Opens the models' files. */
void profile_check_models(const struct device_profile *p, struct diag_sink *sink);

/* ---- raw.c: registers as numbers and back ---- */
enum { RAW_TEXT_REGS = 16 };
struct raw { uint64_t bits; double number; };
uint64_t raw_bits(const uint16_t *regs, size_t count, enum device_order o); /* 1…4 registers as one number */
uint64_t raw_all(size_t count); /* all their bits */
struct raw raw_decode(const uint16_t *regs, enum device_type t, enum device_order o);
/* A number as registers; false when the type cannot hold it. Returns how many in *count. */
must_check bool raw_encode(double number, enum device_type t, enum device_order o, uint16_t regs[4], size_t *count);
/* 10^sf; false when sf is none, with why (80). name: of the scale factor. */
must_check bool sf_power(const char *name, int sf, double *out, char why[80]);
void raw_text(const uint16_t *regs, size_t count, char *to, size_t n); /* printable, trimmed */
/* identity.c: what the registers of one part say; "" when they are marked as not available. */
struct identity_form { enum device_type type; enum device_order order; uint16_t count; double scale; };
void identity_text(const struct identity_form *f, const uint64_t *absent, size_t absent_count, const uint16_t *regs,
		   char *to, size_t n);
char *identity_part(struct device_identity *i, enum identity_part part, size_t *n);

#endif
