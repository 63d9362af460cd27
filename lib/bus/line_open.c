/* line_open: a serial line is taken, set and let go. */
#include <errno.h>
#include <fcntl.h>
#include <modbus/modbus.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "line.h"

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

void line_init(struct line *l, const struct bus_address *a, int wake_fd, int quiet_ms)
{
	*l = (struct line){.address = *a, .wake_fd = wake_fd, .quiet_ms = quiet_ms, .fd = -1, .lock_fd = -1};
}

int64_t line_char_us(const struct line *l)
{
	return 11 * US_PER_S / l->address.baud;
}

/* The lock comes before the settings: a line that another uses at its own speed is not touched. */
static int lock_line(struct line *l, struct err *e)
{
	char holder[80];

	l->lock_fd = open(l->address.path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (l->lock_fd < 0)
		return err_set(e, ERR_UNREACHABLE, errno, "cannot open '%s'", l->address.path);
	if (!isatty(l->lock_fd))
		return err_set(e, ERR_UNREACHABLE, 0, "'%s' is not a serial line", l->address.path);
	if (flock(l->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return err_set(e, ERR_UNREACHABLE, errno, "cannot lock '%s'", l->address.path);
	find_holder(l->lock_fd, holder, sizeof holder);
	return err_set(e, ERR_AGAIN, 0, "'%s' is in use by %s", l->address.path, holder);
}

int line_connect(struct line *l, struct err *e)
{
	const struct bus_address *a = &l->address;

	if (lock_line(l, e) < 0) {
		line_close(l);
		return -1;
	}
	l->modbus = modbus_new_rtu(a->path, (int)a->baud, a->parity, 8, a->stop);
	if (!l->modbus || modbus_connect(l->modbus) < 0) {
		err_set(e, ERR_UNREACHABLE, errno, "cannot set '%s'", a->path);
		line_close(l);
		return -1;
	}
	l->fd = modbus_get_socket(l->modbus);
	/* Whoever asked before us, a process killed a moment ago, may still be answered. */
	l->quiet_until_us = boot_now_us() + l->quiet_ms * US_PER_MS;
	l->in_len = 0;
	l->opens++;
	return 0;
}

void line_close(struct line *l)
{
	if (l->modbus) {
		if (l->fd >= 0)
			modbus_close(l->modbus);
		modbus_free(l->modbus);
	}
	l->modbus = NULL;
	l->fd = -1;
	if (l->lock_fd >= 0)
		close(l->lock_fd);
	l->lock_fd = -1;
	l->in_len = 0;
}
