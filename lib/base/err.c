#include "base/base.h"

#include <string.h>

static const char *const kind_names[] = {
	[ERR_NONE] = "none",
	[ERR_USAGE] = "usage",
	[ERR_INPUT] = "input",
	[ERR_UNREACHABLE] = "unreachable",
	[ERR_BUG] = "bug",
	[ERR_IO] = "io",
	[ERR_AGAIN] = "again",
	[ERR_REFUSED] = "refused",
	[ERR_INTERRUPTED] = "interrupted",
};

int err_set(struct err *e, enum err_kind kind, int errnum, const char *fmt, ...)
{
	/* Through a copy: an argument may be e->text itself. */
	char text[sizeof e->text];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (errnum) {
		const char *why = strerrordesc_np(errnum);
		size_t len = strlen(text);

		if (why)
			snprintf(text + len, sizeof text - len, ": %s", why);
		else
			snprintf(text + len, sizeof text - len, ": error %d", errnum);
	}
	e->kind = kind;
	e->errnum = errnum;
	str_copy(e->text, sizeof e->text, text);
	return -1;
}

int err_ctx(struct err *e, const char *fmt, ...)
{
	char text[2 * sizeof e->text + 4];
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof e->text, fmt, ap);
	va_end(ap);
	len = strlen(text);
	snprintf(text + len, sizeof text - len, ": %s", e->text);
	str_copy(e->text, sizeof e->text, text);
	return -1;
}

int err_add(struct err *e, const char *fmt, ...)
{
	size_t len = strlen(e->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->text + len, sizeof e->text - len, fmt, ap);
	va_end(ap);
	return -1;
}

const char *err_kind_name(enum err_kind kind)
{
	if ((size_t)kind >= COUNT_OF(kind_names))
		return kind_names[ERR_BUG];
	return kind_names[kind];
}

int err_exit_status(enum err_kind kind)
{
	static const int status[] = {
		[ERR_NONE] = 0, [ERR_USAGE] = 64, [ERR_INPUT] = 65, [ERR_UNREACHABLE] = 69, [ERR_BUG] = 70,
		[ERR_IO] = 74, [ERR_AGAIN] = 75, [ERR_REFUSED] = 77, [ERR_INTERRUPTED] = 130,
	};

	return (size_t)kind < COUNT_OF(status) ? status[kind] : status[ERR_BUG];
}

enum err_kind err_kind_parse(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(kind_names); i++)
		if (str_eq(name, kind_names[i]))
			return (enum err_kind)i;
	return ERR_BUG;
}

void diag_report(struct diag_sink *sink, const char *file, int line, const char *path, const char *fmt, ...)
{
	char text[sizeof ((struct err *)0)->text];
	struct diag d = { .file = file, .line = line, .path = path ? path : "", .text = text };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	sink->count++;
	if (sink->fn)
		sink->fn(sink->arg, &d);
}

char *diag_format(const struct diag *d, char to[DIAG_LEN])
{
	char line[16] = "", text[DIAG_LEN];

	if (d->line > 0)
		snprintf(line, sizeof line, ":%d", d->line);
	snprintf(text, sizeof text, "%s%s: %s%s%s", d->file, line, d->path, d->path[0] ? " " : "", d->text);
	str_printable(to, DIAG_LEN, text, strlen(text));
	return to;
}
