/* live: a map from inside: what map.c lays out, read.c judges and write.c plans. */
#ifndef PSEC_DEVICE_LIVE_H
#define PSEC_DEVICE_LIVE_H

#include "device/parts.h"

/* One value to read: where it lies. Scale factors of SunSpec are registers of their own (scale_index). */
struct device_value {
	int point;                /* enum device_point, or -1: identity, scale factor, or a part of a sum */
	char name[PARTS_PATH + 8];
	uint8_t function;
	uint16_t address, count;  /* registers */
	enum device_type type;
	enum device_order order;
	double scale;             /* value = raw * scale * 10^sf, then sign of the device */
	int scale_index;          /* index of the value that holds 10^sf, or -1 */
	enum device_rate rate;
};

/* Beside each device_value: what is not for the outside. */
struct mapped {
	const struct source *source; /* absent marks, mask, choices; NULL for scale factors and SunSpec's identity */
	bool has_absent, is_sf, control, required;
	uint64_t absent;
	int sf_constant;
	int block;                   /* where its registers arrive */
	uint16_t offset;             /* in the block */
	int sf_offset;               /* of its scale factor in the same block; -1: it arrives in another one */
	struct pair *pair;           /* then */
	int64_t changed_boot_us;
};

/* A value whose scale factor comes with another read is what both were when the factor was the same before and after
 * the value: devices move it as they go. */
struct pair {
	bool known;
	uint16_t regs[4];
	int16_t sf;
	int64_t at_boot_us, changed_boot_us;
};

struct node { /* a point's expression over values */
	enum expr_kind kind;
	int value;                   /* EXPR_VALUE: index */
	double scale;
	struct node **terms;
	bool skip_absent;
	size_t term_count;
};

struct block_state {
	uint16_t regs[BUS_READ_MAX];
	bool known;
	char why[60];                /* the device's word, when it refused */
	int64_t at_boot_us;
};

struct mapped_step {
	const struct step *step;
	struct device_value target;  /* name, address, type, scale; scale_index */
	int sf_constant;
	int now;                     /* optional steps: value that shows whether the register is there, else -1 */
	struct node *percent_of;
};
struct mapped_write {
	enum device_point point;
	struct mapped_step steps[DEVICE_WRITES_MAX];
	size_t step_count;
	double min, max;             /* NAN: not said */
};

struct device_map {
	const struct device_profile *profile;
	unsigned roles;
	bool reversed;
	struct device_value *values;
	struct mapped *mapped;
	size_t value_count;
	struct device_block *blocks;
	struct block_state *states;
	size_t block_count;
	struct node *nodes[POINT_COUNT];
	struct mapped_write *writes;
	size_t write_count;
	int identity_values[IDENTITY_PARTS]; /* -1: none */
	struct device_identity identity;
};

/* read.c: what a node says now. */
void node_read(const struct device_map *m, const struct node *n, struct device_reading *out);
/* What 10^sf of a write's target is now; false while it is unknown, with why. */
must_check bool scale_factor(const struct device_map *m, const struct device_value *v, int sf_constant, double *out,
			     char why[80]);
void node_free(struct node *n);

/* blocks.c: lay the values' registers out in reads. */
void map_lay_blocks(struct device_map *m);

#endif
