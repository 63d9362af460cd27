/* inside: what the files of this room share and nobody else sees. */
#ifndef PSEC_SIM_INSIDE_H
#define PSEC_SIM_INSIDE_H

#include "sim/sim.h"

/* ---- day.c: what sun and house want -------------------------------------------------------------------------- */

/* The kettle and the cloud: a factor that moves from one value to another. */
struct day {
	const struct series *series;
	int64_t offset_us;
	uint64_t seed;
	bool calm;
	double extra_w;
	double cloud_from, cloud_to;
	int64_t cloud_at_us;
};
/* Load and PV at a plant time; a function of its arguments alone. */
void day_at(const struct day *d, int64_t at_us, double *load_w, double *pv_w);
void day_cloud(struct day *d, int64_t at_us, double factor);

/* ---- the set-point as devices leave it for the plant --------------------------------------------------------- */

struct command {
	double from_w, to_w;         /* discharge positive */
	int64_t begin_us, ramp_us;   /* from from_w at begin_us to to_w */
	int64_t written_us;          /* plant time of the last write; below 0: none yet */
	double reserve_percent;
	double watchdog_s;
	double ramp_w_per_s;         /* the inverter's own bound, or INFINITY */
	bool off;
};
double command_at(const struct command *c, int64_t at_us);
void command_set(struct command *c, double w, int64_t at_us, int64_t delay_us, int64_t ramp_us);

/* ---- what a device can see of the site ----------------------------------------------------------------------- */

/* Plain numbers in psec's signs: grid import, battery discharge, PV production positive. Faults bend these. */
struct view {
	int64_t at_us;
	double grid_w, grid_l_w[3], grid_v[3], grid_hz;
	double battery_w, pv_w;
	double import_wh, export_wh, pv_wh, charge_wh, discharge_wh;
	double soc_percent, battery_v;
	double charge_limit_w, discharge_limit_w;   /* at the AC side */
	double battery_wh, inverter_w, efficiency, watchdog_s; /* as delivered */
	bool watchdog_tripped, off;
	double command_w;
};
double view_dc_w(const struct view *v, double ac_w); /* battery power behind the inverter, same sign */

/* ---- image.c: the registers of a device ---------------------------------------------------------------------- */

struct image_block {
	uint8_t function;       /* 3 or 4 */
	uint16_t start, count, at;
};
struct image {
	const struct image_kind *kind;
	char serial[16];
	uint16_t regs[512];
	struct image_block blocks[4];
	size_t block_count;
};
struct image_writable {
	uint16_t address;
	int32_t min, max;       /* as the register's type counts */
	bool is_signed;
	uint16_t only[3];       /* if any is not 0: these values alone */
};
struct image_kind {
	const char *name, *words;
	uint8_t unit, host;     /* last octet counts from sim_options.host by this */
	int connections;        /* at once; more are closed when they come */
	uint16_t read_max;
	const struct image_writable *writable;
	size_t writable_count;
	/* Lay out the blocks and what never changes. */
	void (*begin)(struct image *i, const struct view *v);
	/* Renew what is measured; leave what can be written. */
	void (*refresh)(struct image *i, const struct view *v);
	/* Registers in [address, address + count) were written: what does that mean for the plant? May be NULL. */
	void (*written)(struct image *i, uint16_t address, uint16_t count, const struct view *v, struct command *c,
			struct rng *rng);
	/* The inverter's watchdog came: back to how the device was delivered. May be NULL. */
	void (*expired)(struct image *i);
};
extern const struct image_kind image_meter, image_battery, image_pv, image_sdm630, image_hybrid, image_bms;

void image_begin(struct image *i, const struct image_kind *kind, uint64_t seed, const struct view *v);
uint16_t *image_add_block(struct image *i, uint8_t function, uint16_t start, uint16_t count);
/* The register, or NULL when [address, address + count) is not within one block of function. */
uint16_t *image_at(struct image *i, uint8_t function, uint16_t address, uint16_t count);
/* Judge a question before it is carried out: 0, or the exception. */
uint8_t image_judge(struct image *i, const struct bus_request *q);
/* Store a judged write. */
void image_store(struct image *i, const struct bus_request *q);

/* Values into registers. Out of range is cut at the ends; what a register means by "not available" is never
 * produced. */
uint16_t image_u16(double v);
uint16_t image_s16(double v);
uint16_t image_u16_sf(double v, int sf);
uint16_t image_s16_sf(double v, int sf);
void image_u32(uint16_t *to, double v);      /* high word first */
void image_s32(uint16_t *to, double v);
void image_u32_low(uint16_t *to, double v);  /* low word first */
void image_s32_low(uint16_t *to, double v);
void image_acc32(uint16_t *to, double v);    /* a counter: wraps */
void image_f32(uint16_t *to, double v);
void image_text(uint16_t *to, size_t count, const char *text);
/* The least power of ten, from least on, with which v fits a signed register. */
int image_fit_sf(double v, int least);

/* ---- image_sunspec.c: what SunSpec devices share ------------------------------------------------------------- */

enum { SUNSPEC_BASE = 40000, SUNSPEC_COMMON_LEN = 68, SUNSPEC_103_LEN = 52,
       SUNSPEC_NA_U16 = 0xFFFF, SUNSPEC_NA_S16 = 0x8000, SUNSPEC_NA_SF = 0x8000, SUNSPEC_NA_ENUM = 0xFFFF };
/* "SunS" and model 1; returns where the next model goes. */
uint16_t *sunspec_begin(uint16_t *regs, const char *model, const char *serial);
uint16_t *sunspec_model(uint16_t *m, uint16_t id, uint16_t words); /* id and length; returns the one after it */
void sunspec_end(uint16_t *m);
struct sunspec_103 {
	double w, dc_w, dc_v, wh, hz, v[3], rated_w;
	uint16_t state, vendor_state;
};
void sunspec_103(uint16_t *m, const struct sunspec_103 *x);

/* ---- fault.c, and a device that answers ---------------------------------------------------------------------- */

struct face {
	struct image image;
	enum sim_fault fault;
	struct view held;            /* what the device saw when its fault began */
	uint16_t last_transaction;   /* for answers to the question before */
	uint8_t last_pdu[BUS_PDU_MAX];
	size_t last_len;
	uint64_t questions, writes;
	struct rng rng;
	struct sim *sim;
	int index;                   /* in the site's table of devices */
};
/* How a fault bends what a device sees. */
void fault_view(const struct face *f, struct view *v);
/* Make the frame of an answer, true or false, and keep what the next lie needs. Returns its length; 0: say nothing. */
size_t fault_tcp(struct face *f, uint16_t transaction, uint8_t unit, const uint8_t *pdu, size_t len,
		 uint8_t adu[BUS_ADU_MAX]);
size_t fault_rtu(struct face *f, uint8_t unit, const uint8_t *pdu, size_t len, uint8_t adu[BUS_ADU_MAX]);
int64_t fault_delay_us(const struct face *f);
/* sim.c: carry a question out and make the PDU of the answer. */
size_t face_answer(struct face *f, uint8_t unit, const uint8_t *pdu, size_t len, uint8_t answer[BUS_PDU_MAX]);

/* ---- server.c, pty.c: how questions come in ------------------------------------------------------------------ */

struct server;
must_check int server_new(struct loop *l, struct face *f, struct bus_address *address, struct server **out,
			  struct err *e);
void server_free(struct server *s);
/* The device's fault changed: close what a lost device has not, open again afterwards. */
must_check int server_follow(struct server *s, struct err *e);

struct pty;
/* address gets path, baud and parity. link: where a symbolic link to the line is made; "" = none. */
must_check int pty_new(struct loop *l, struct face *f, const struct sim_options *o, struct bus_address *address,
		       struct pty **out, struct err *e);
void pty_free(struct pty *p);

/* ---- socket.c: the control socket ---------------------------------------------------------------------------- */

struct socket;
must_check int socket_new(struct loop *l, struct sim *s, const char *path, struct socket **out, struct err *e);
void socket_free(struct socket *k);

/* sim.c: what the socket shows beyond the public functions. */
struct sim_now { double extra_w, cloud, setpoint_w, setpoint_age_s; };
void sim_now_read(struct sim *s, struct sim_now *out);
const struct sim_options *sim_options_of(const struct sim *s);

#endif
