#include "out/out.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PATIENCE_US = 1000000, PERIOD_US = 100000 };

static void write_line(const char *line, size_t len)
{
	/* A progress line that cannot be written is no loss. */
	(void)!write(STDERR_FILENO, line, len);
}

void out_progress_begin(struct out_progress *p, const char *what, const struct now *now)
{
	*p = (struct out_progress){ .what = what, .began_us = now->boot_us };
}

void out_progress_step(struct out_progress *p, const struct now *now, uint64_t done, uint64_t total, const char *extra)
{
	char text[240], line[sizeof text + 8], safe[200];
	struct winsize size;
	size_t len, most;

	if (now->boot_us - p->began_us < PATIENCE_US || (p->visible && now->boot_us - p->shown_us < PERIOD_US))
		return;
	if (!isatty(STDERR_FILENO))
		return;
	most = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79;
	str_printable(safe, sizeof safe, extra ? extra : "", extra ? strlen(extra) : 0);
	snprintf(text, sizeof text, "%.100s %llu", p->what, (unsigned long long)done);
	len = strlen(text);
	if (total)
		len += (size_t)snprintf(text + len, sizeof text - len, " of %llu", (unsigned long long)total);
	snprintf(text + len, sizeof text - len, "%s%s", *safe ? ", " : "", safe);
	/* A line that wraps cannot be wiped. */
	text[str_fit(text, strlen(text), most)] = '\0';
	snprintf(line, sizeof line, "\r%s\033[K", text);
	write_line(line, strlen(line));
	p->visible = true;
	p->shown_us = now->boot_us;
}

void out_progress_end(struct out_progress *p)
{
	if (p->visible)
		write_line("\r\033[K", 4);
	p->visible = false;
}
