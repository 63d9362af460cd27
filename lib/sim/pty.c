/* A device on a serial line, which is a pty: it has no wire, so the time that characters take is made here, and
 * frames are found by silence (MSL 2.5.1.1). The rate of the other side is visible, so that a wrong one gets no
 * answer; a pty's driver drops the parity bit, so that of the parity only odd against the rest shows. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "inside.h"

enum { TURN_US = 5000 /* the device thinks */, CHUNK = 16 /* characters that a UART's buffer hands over at once */ };

struct pty {
	struct loop *loop;
	struct face *face;
	int fd, slave;               /* the slave stays open, so that the line lives between its clients */
	struct loop_source *source;
	char link[64], name[64];
	uint32_t baud;
	char parity;
	int64_t char_us, gap_us;
	uint8_t in[BUS_ADU_MAX];
	size_t in_len;
	int64_t wire_free_us;        /* when the last character that came has gone over the wire */
	struct loop_timer silence, send;
	uint8_t out[BUS_ADU_MAX];
	size_t out_len, out_at;
	struct loop_timer master;    /* the other one: asks, and the device answers it */
	int64_t master_until_us;
	bool master_asked;
};

static const struct { uint32_t baud; speed_t speed; } speeds[] = {
	{ 1200, B1200 }, { 2400, B2400 }, { 4800, B4800 }, { 9600, B9600 }, { 19200, B19200 }, { 38400, B38400 },
	{ 57600, B57600 }, { 115200, B115200 },
};

static bool speed_of(uint32_t baud, speed_t *out)
{
	for (size_t n = 0; n < COUNT_OF(speeds); n++)
		if (speeds[n].baud == baud) {
			*out = speeds[n].speed;
			return true;
		}
	return false;
}

/* Does the client speak at the line's rate? Otherwise what it sends is noise to the device. */
static bool same_rate(const struct pty *p)
{
	struct termios t;
	speed_t mine;

	if (tcgetattr(p->slave, &t) < 0 || !speed_of(p->baud, &mine))
		return false;
	return cfgetospeed(&t) == mine && (bool)(t.c_cflag & PARODD) == (p->parity == 'O');
}

static void send_chunk(void *arg)
{
	struct pty *p = arg;
	size_t left = p->out_len - p->out_at, n = left < CHUNK ? left : CHUNK;

	/* A full buffer means that nobody reads: the rest is lost, as on a wire. */
	if (write(p->fd, p->out + p->out_at, n) != (ssize_t)n)
		n = left;
	p->out_at += n;
	left -= n;
	if (left)
		loop_timer_set(p->loop, &p->send,
			       p->send.at_boot_us + (int64_t)(left < CHUNK ? left : CHUNK) * p->char_us);
	else
		p->out_len = p->out_at = 0;
}

/* What lies in out, begun after wait_us. */
static void send_frame(struct pty *p, size_t len, int64_t wait_us)
{
	p->out_len = len;
	p->out_at = 0;
	loop_timer_set(p->loop, &p->send, loop_now(p->loop)->boot_us + wait_us +
		       (int64_t)(len < CHUNK ? len : CHUNK) * p->char_us);
}

static void on_silence(void *arg)
{
	struct pty *p = arg;
	size_t len = p->in_len, pdu_len;
	uint8_t pdu[BUS_PDU_MAX], unit = p->in[0];

	p->in_len = 0;
	if (len < 4 || !same_rate(p) || unit != p->face->image.kind->unit)
		return;
	if (bus_crc(p->in, len - 2) != (p->in[len - 2] | p->in[len - 1] << 8))
		return;
	pdu_len = face_answer(p->face, unit, p->in + 1, len - 3, pdu);
	len = fault_rtu(p->face, unit, pdu, pdu_len, p->out);
	if (len)
		send_frame(p, len, TURN_US + fault_delay_us(p->face));
}

static void on_bytes(void *arg, int fd, unsigned events)
{
	struct pty *p = arg;
	int64_t now = loop_now(p->loop)->boot_us;
	uint8_t bytes[BUS_ADU_MAX];
	ssize_t n = read(fd, bytes, sizeof bytes);

	(void)events;
	if (n <= 0)
		return;
	if (p->out_len) /* half duplex: who speaks while the device speaks is not heard */
		return;
	if (p->in_len + (size_t)n > sizeof p->in)
		n = (ssize_t)(sizeof p->in - p->in_len); /* too long for a frame: its CRC will not fit */
	memcpy(p->in + p->in_len, bytes, (size_t)n);
	p->in_len += (size_t)n;
	p->wire_free_us = (p->wire_free_us > now ? p->wire_free_us : now) + n * p->char_us;
	loop_timer_set(p->loop, &p->silence, p->wire_free_us + p->gap_us);
}

/* Another master reads the voltages once a second. It does not listen before it speaks, but what is on the wire just
 * now is left whole: two bytes at once are noise that a pty cannot show. */
static void on_master(void *arg)
{
	static const uint8_t ask[] = { BUS_READ_INPUT, 0, 0, 0, 6 };
	struct pty *p = arg;
	int64_t now = loop_now(p->loop)->boot_us, next_us = US_PER_S;
	uint8_t pdu[BUS_PDU_MAX], unit = p->face->image.kind->unit;

	if (p->master_asked && !p->out_len) {
		size_t len = face_answer(p->face, unit, ask, sizeof ask, pdu);

		p->master_asked = false;
		len = fault_rtu(p->face, unit, pdu, len, p->out);
		if (len)
			send_frame(p, len, 0);
	} else if (now >= p->master_until_us) {
		return;
	} else if (!p->out_len && !p->in_len) {
		p->master_asked = true;
		next_us = (int64_t)(sizeof ask + 3) * p->char_us + p->gap_us + TURN_US;
		send_frame(p, bus_rtu_frame(unit, ask, sizeof ask, p->out), 0);
	}
	loop_timer_set(p->loop, &p->master, now + next_us);
}

void pty_second_master(struct pty *p, int64_t until_us)
{
	p->master_until_us = until_us;
	loop_timer_set(p->loop, &p->master, loop_now(p->loop)->boot_us);
}

static int open_line(struct pty *p, struct err *e)
{
	struct termios t;
	speed_t speed;

	p->fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (p->fd < 0 || grantpt(p->fd) < 0 || unlockpt(p->fd) < 0 || ptsname_r(p->fd, p->name, sizeof p->name) != 0)
		return err_set(e, ERR_IO, errno, "cannot make a pty");
	p->slave = open(p->name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (p->slave < 0 || tcgetattr(p->slave, &t) < 0)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", p->name);
	if (!speed_of(p->baud, &speed))
		return err_set(e, ERR_INPUT, 0, "a line of %u Bd cannot be simulated", p->baud);
	cfmakeraw(&t);
	cfsetispeed(&t, speed);
	cfsetospeed(&t, speed);
	if (p->parity == 'O')
		t.c_cflag |= PARODD;
	if (tcsetattr(p->slave, TCSANOW, &t) < 0)
		return err_set(e, ERR_IO, errno, "cannot set up '%s'", p->name);
	return 0;
}

/* A link that a killed simulator left behind is replaced; anything else of that name is not ours. */
static int make_link(struct pty *p, const char *link, struct err *e)
{
	struct stat st;

	if (!*link)
		return 0;
	if (lstat(link, &st) == 0 && (!S_ISLNK(st.st_mode) || unlink(link) < 0))
		return err_set(e, ERR_IO, 0, "'%s' is there and is not a link to a line", link);
	if (symlink(p->name, link) < 0)
		return err_set(e, ERR_IO, errno, "cannot make '%s'", link);
	str_copy(p->link, sizeof p->link, link);
	return 0;
}

int pty_new(struct loop *l, struct face *f, const struct sim_options *o, struct bus_address *address, struct pty **out,
	    struct err *e)
{
	struct pty *p = xcalloc(1, sizeof *p);
	int bits = o->parity == 'N' ? 10 : 11; /* start, 8, parity, stop */

	*p = (struct pty){ .loop = l, .face = f, .fd = -1, .slave = -1, .baud = o->baud, .parity = o->parity,
			   .silence = { .fn = on_silence, .arg = p }, .send = { .fn = send_chunk, .arg = p },
			   .master = { .fn = on_master, .arg = p } };
	p->char_us = (bits * US_PER_S + p->baud - 1) / (p->baud ? p->baud : 1);
	p->gap_us = p->baud > 19200 ? 1750 : p->char_us * 7 / 2;
	if (open_line(p, e) < 0 || make_link(p, o->line, e) < 0 ||
	    loop_add_fd(l, p->fd, LOOP_READ, on_bytes, p, &p->source, e) < 0) {
		pty_free(p);
		return -1;
	}
	str_copy(address->path, sizeof address->path, *p->link ? p->link : p->name);
	address->baud = p->baud;
	address->parity = p->parity;
	address->stop = 1;
	*out = p;
	return 0;
}

void pty_free(struct pty *p)
{
	char now[64];
	ssize_t n;

	if (!p)
		return;
	loop_timer_stop(p->loop, &p->silence);
	loop_timer_stop(p->loop, &p->send);
	loop_timer_stop(p->loop, &p->master);
	loop_remove(p->source);
	n = *p->link ? readlink(p->link, now, sizeof now - 1) : -1;
	if (n > 0 && (now[n] = '\0', str_eq(now, p->name)))
		unlink(p->link);
	base_close_(&p->slave);
	base_close_(&p->fd);
	free(p);
}
