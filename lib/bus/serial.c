/* serial: a line of this machine is taken, set and let go; libmodbus knows how to set it. */
#include <errno.h>
#include <fcntl.h>
#include <modbus/modbus.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "rtu.h"

/* Who holds the lock: "psecd-field (pid 123)"; /proc/locks names the file by device and inode. */
static void find_holder(int fd, char *to, size_t n)
{
	auto_fclose FILE *locks = fopen("/proc/locks", "re");
	char row[200], want[64], path[40], name[32] = "a process";
	struct stat st;
	int pid;

	str_copy(to, n, "another process");
	if (!locks || fstat(fd, &st) < 0)
		return;
	snprintf(want, sizeof want, " %02x:%02x:%ju ", major(st.st_dev), minor(st.st_dev), (uintmax_t)st.st_ino);
	while (fgets(row, sizeof row, locks)) {
		if (!strstr(row, want) || sscanf(row, "%*d: FLOCK %*s %*s %d", &pid) != 1 || pid <= 0)
			continue;
		snprintf(path, sizeof path, "/proc/%d/comm", pid);
		auto_fclose FILE *comm = fopen(path, "re");

		if (comm && fgets(row, sizeof row, comm))
			str_printable(name, sizeof name, row, strcspn(row, "\n"));
		snprintf(to, n, "%s (pid %d)", name, pid);
		return;
	}
}

/* The lock comes before the settings: a line that another uses at its own speed is not touched. */
static int lock_line(struct rtu *r, struct err *e)
{
	char holder[80];

	r->lock_fd = open(r->link->address.path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (r->lock_fd < 0)
		return err_set(e, ERR_UNREACHABLE, errno, "cannot open '%s'", r->link->address.path);
	if (!isatty(r->lock_fd))
		return err_set(e, ERR_UNREACHABLE, 0, "'%s' is not a serial line", r->link->address.path);
	if (flock(r->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return err_set(e, ERR_UNREACHABLE, errno, "cannot lock '%s'", r->link->address.path);
	find_holder(r->lock_fd, holder, sizeof holder);
	return err_set(e, ERR_AGAIN, 0, "'%s' is in use by %s", r->link->address.path, holder);
}

/* USB adapters hand over bytes every 16 ms at worst. */
enum { PAUSE_US = 20000 };

static void serial_close(struct rtu *r)
{
	if (r->modbus) {
		if (r->fd >= 0)
			modbus_close(r->modbus);
		modbus_free(r->modbus);
	}
	r->modbus = NULL;
	r->fd = -1;
	base_close_(&r->lock_fd);
}

static int serial_open(struct rtu *r, struct err *e)
{
	const struct bus_address *a = &r->link->address;

	r->char_us = 11 * US_PER_S / a->baud; /* MSL 2.5.1 */
	r->gap_us = a->baud > 19200 ? 1750 : 7 * r->char_us / 2;
	r->pause_us = PAUSE_US;
	if (lock_line(r, e) < 0)
		return -1;
	r->modbus = modbus_new_rtu(a->path, (int)a->baud, a->parity, 8, a->stop);
	if (!r->modbus || modbus_connect(r->modbus) < 0)
		return err_set(e, ERR_UNREACHABLE, errno, "cannot set '%s'", a->path);
	r->fd = modbus_get_socket(r->modbus);
	return 0;
}

static bool serial_send(struct rtu *r)
{
	return write(r->fd, r->sent, r->sent_len) == (ssize_t)r->sent_len;
}

const struct medium medium_serial = {.open = serial_open, .send = serial_send, .close = serial_close};
