#include "base/base.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *log_name = "psec";
static enum log_level log_most = LOG_INFO;
static bool log_prefix;

void log_init(const char *name, enum log_level most)
{
	log_name = name;
	log_most = most;
	log_prefix = !isatty(STDERR_FILENO);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char text[1024], line[2048];
	int head, saved = errno;
	size_t len;
	va_list ap;

	if (level > log_most)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (log_prefix)
		head = snprintf(line, 64, "<%d>%.40s: ", (int)level, log_name);
	else
		head = snprintf(line, 64, "%.40s: ", log_name);
	/* One call, one line: a device's name with a line end in it must not look like a second entry. */
	str_printable(line + head, sizeof line - (size_t)head - 1, text, strlen(text));
	len = strlen(line);
	line[len++] = '\n';
	/* Nobody to tell when the log itself cannot be written. */
	ssize_t written = write(STDERR_FILENO, line, len);

	(void)written;
	errno = saved;
}

static const struct { const char *name; enum log_level level; } severities[SEVERITY_COUNT] = {
	[SEVERITY_INFO] = { "info", LOG_NOTICE }, [SEVERITY_WARNING] = { "warning", LOG_WARNING },
	[SEVERITY_ALARM] = { "alarm", LOG_ERROR },
};

const char *severity_name(enum severity s)
{
	return severities[s < SEVERITY_COUNT ? s : SEVERITY_ALARM].name;
}

enum log_level severity_level(enum severity s)
{
	return severities[s < SEVERITY_COUNT ? s : SEVERITY_ALARM].level;
}

void log_diag(void *arg, const struct diag *d)
{
	char line[DIAG_LEN];

	(void)arg;
	log_line(LOG_ERROR, "%s", diag_format(d, line));
}
