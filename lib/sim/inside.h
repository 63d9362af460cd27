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
/* Load and PV of series and variation at a plant time; and with the kettle and the cloud of now. */
void day_base(const struct day *d, int64_t at_us, double *load_w, double *pv_w);
void day_now(const struct day *d, int64_t at_us, double base_load_w, double base_pv_w, double *load_w, double *pv_w);
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

/* What model 123 bounds the sun's inverter to. */
struct pv_limit {
	double most_w, now_w;        /* INFINITY: no bound; now_w goes there */
	int64_t revert_at_us;        /* plant time at which the bound is given up; 0: never */
	bool off, reverted;
};

/* ---- genset.c ------------------------------------------------------------------------------------------------ */

/* GenComm 1408 */
enum genset_state { GENSET_STOPPED, GENSET_PRE_START, GENSET_WARMING, GENSET_RUNNING, GENSET_COOLING };
struct genset {
	enum genset_state state;
	int64_t since_us, run_us;
	bool wanted;
	double target_w, power_w, energy_wh;
	uint32_t starts;
};
/* target_w 0: as before. */
void genset_ask(struct genset *g, const struct sim_genset *o, bool run, double target_w);
void genset_step(struct genset *g, const struct sim_genset *o, int64_t at_us, bool dark);

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
	double pv_rated_w;
	bool pv_limited, pv_off, pv_reverted;
	double genset_w, genset_wh, genset_rated_w;
	enum genset_state genset_state;
	uint32_t genset_starts, genset_run_s;
};
double view_dc_w(const struct view *v, double ac_w); /* battery power behind the inverter, same sign */

/* What a write can mean: the device's battery, the sun's inverter, the genset. */
struct orders {
	struct command *command;
	struct pv_limit *pv;
	struct genset *genset;
	const struct sim_genset *genset_options;
	struct rng *rng;
};

/* ---- world.c: everything that is simulated ------------------------------------------------------------------- */

enum { SIM_WARM_US = 2 * 1000000 };   /* plant time at the start: the site has been there before you look */
#define SIM_PV_RATED_W 8000.0

struct world {
	const struct sim_options *options;
	/* the first has house, sun, grid and meter; the others a battery alone */
	struct sim_plant plants[SIM_BATTERIES];
	struct command commands[SIM_BATTERIES];
	struct genset genset;
	struct pv_limit pv;
	struct day day;
	double base_load_w, base_pv_w;
	struct { double voltage_by_v, frequency_by_hz; int64_t dark_until_us, waits_until_us; } grid;
	struct sim_event *events;    /* by plant time; those before event_next have been */
	size_t event_count, event_next;
	/* An inverter gave its set-point up; something happened. Either may be NULL. */
	void (*watchdog)(void *arg, size_t battery);
	void (*happened)(void *arg, const struct sim_event *e);
	void *arg;
};
void world_begin(struct world *w, const struct sim_options *o); /* o is borrowed */
void world_release(struct world *w);
void world_advance(struct world *w, int64_t to_us);
int64_t world_at(const struct world *w);
bool world_dark(const struct world *w);
void world_add(struct world *w, const struct sim_event *e);      /* at_us is plant time */
void world_do(struct world *w, const struct sim_event *e);       /* now */
const struct sim_event *world_next(const struct world *w);
struct view world_look(const struct world *w, size_t battery);

/* ---- image.c: the registers of a device ---------------------------------------------------------------------- */

/* MAP 7 */
enum { MODBUS_ILLEGAL_FUNCTION = 1, MODBUS_ILLEGAL_ADDRESS = 2, MODBUS_ILLEGAL_VALUE = 3, MODBUS_DEVICE_FAILURE = 4,
       MODBUS_BUSY = 6, MODBUS_NO_TARGET = 11 };

struct image_block {
	uint8_t function;       /* 3 or 4 */
	uint16_t start, count, at;
};
struct image {
	const struct image_kind *kind;
	char serial[16];
	uint16_t regs[512];
	struct image_block blocks[8];
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
	bool lives_in_dark;     /* has a supply of its own: answers in a blackout */
	const char *identity[3]; /* FC 43/14: vendor, product, revision; {NULL}: it knows no such question */
	const char *report;     /* FC 17: what it says of itself; NULL: it knows no such question */
	uint16_t read_max;
	const struct image_writable *writable;
	size_t writable_count;
	/* Lay out the blocks and what never changes. */
	void (*begin)(struct image *i, const struct view *v);
	/* Renew what is measured; leave what can be written. */
	void (*refresh)(struct image *i, const struct view *v);
	/* Registers in [address, address + count) were written: what does that mean for the plant? May be NULL. */
	void (*written)(struct image *i, uint16_t address, uint16_t count, const struct view *v,
			const struct orders *o);
	/* The inverter's watchdog came: back to how the device was delivered. May be NULL. */
	void (*expired)(struct image *i);
};
extern const struct image_kind image_meter, image_battery, image_pv, image_sdm630, image_hybrid, image_bms,
	image_genset;

void image_begin(struct image *i, const struct image_kind *kind, uint64_t seed, const struct view *v);
uint16_t *image_add_block(struct image *i, uint8_t function, uint16_t start, uint16_t count);
/* The register, or NULL when [address, address + count) is not within one block of function. */
uint16_t *image_at(struct image *i, uint8_t function, uint16_t address, uint16_t count);
/* Judge a question before it is carried out: 0, or the exception. */
uint8_t image_judge(struct image *i, const struct bus_request *q);
bool image_knows_function(const struct image *i, uint8_t function);
/* The PDU of the answer to a judged FC 17 or FC 43/14. */
size_t image_identify(const struct image *i, const struct bus_request *q, uint8_t answer[BUS_PDU_MAX]);
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

enum { SUNSPEC_BASE = 40000, SUNSPEC_COMMON_LEN = 68, SUNSPEC_103_LEN = 52, SUNSPEC_120_LEN = 28,
       SUNSPEC_NA_U16 = 0xFFFF, SUNSPEC_NA_S16 = 0x8000, SUNSPEC_NA_SF = 0x8000, SUNSPEC_NA_ENUM = 0xFFFF };
/* "SunS" and model 1; returns where the next model goes. */
uint16_t *sunspec_begin(uint16_t *regs, const char *model, const char *serial);
uint16_t *sunspec_model(uint16_t *m, uint16_t id, uint16_t words); /* id and length; returns the one after it */
void sunspec_120(uint16_t *m, uint16_t der_type, double rated_w, double battery_wh); /* battery_wh 0: none */
void sunspec_end(uint16_t *m);
struct sunspec_103 {
	double w, dc_w, dc_v, wh, hz, v[3], rated_w;
	uint16_t state, vendor_state;
};
void sunspec_103(uint16_t *m, const struct sunspec_103 *x);

/* ---- fault.c, and a device that answers ---------------------------------------------------------------------- */

struct face {
	struct image image;
	size_t battery;              /* whose face this is */
	char name[16];
	enum sim_fault given, fault; /* what it was given; what it has: in a blackout it is lost */
	unsigned swaps;              /* how often it was another one */
	bool unplugged;              /* just now: its connections are to end */
	struct view held;            /* what the device saw when its fault began */
	uint16_t last_transaction;   /* for answers to the question before */
	uint8_t last_pdu[BUS_PDU_MAX];
	size_t last_len;
	uint64_t questions, writes;
	struct rng rng;
	struct sim *sim;
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
/* Another master asks on the line, until boot time until_us. */
void pty_second_master(struct pty *p, int64_t until_us);
void pty_free(struct pty *p);

/* ---- socket.c: the control socket ---------------------------------------------------------------------------- */

struct socket;
must_check int socket_new(struct loop *l, struct sim *s, const char *path, struct socket **out, struct err *e);
void socket_free(struct socket *k);

/* sim.c: the devices of a site with these options, in the order in which they are served; returns how many. */
enum { SITE_FACES = 4 + 3 * SIM_BATTERIES };
struct site_face { enum sim_kind kind; const struct image_kind *image; size_t battery; char name[16]; };
size_t site_faces(const struct sim_options *o, struct site_face out[SITE_FACES]);

/* sim.c: what the socket shows beyond the public functions. */
const struct world *sim_world(struct sim *s);
int sim_speed(const struct sim *s);

/* event.c: an event that may take part in a scenario, from its map. false: reported. */
struct conf;
struct conf_node;
must_check bool event_read(const struct conf *c, const struct conf_node *map, bool timed, struct sim_event *out,
			   struct diag_sink *sink);

#endif
