#include "batch/batch.h"

#include <string.h>

#include "page/page.h"

enum { LINES = 3, SVG_MAX = 64 * 1024 };

char *batch_label_text(const struct batch_label *l)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "psec:1;serial=%s", l->serial);
	if (*l->ek)
		buf_addf(&b, ";ek=%s", l->ek);
	if (*l->idevid)
		buf_addf(&b, ";idevid=%s", l->idevid);
	return buf_take(&b);
}

/* Serial, make and model, and of the endorsement key as much as two people compare. */
static size_t lines_of(const struct batch_label *l, char ek[40], const char *lines[LINES])
{
	size_t n = 0;

	lines[n++] = l->serial;
	if (l->product && *l->product)
		lines[n++] = l->product;
	if (str_eq(l->ek, ""))
		return n;
	snprintf(ek, 40, "EK %.4s", l->ek);
	for (int i = 4; i < 16 && strlen(l->ek) >= 16; i += 4)
		snprintf(ek + strlen(ek), 40 - strlen(ek), " %.4s", l->ek + i);
	lines[n++] = ek;
	return n;
}

int batch_label_svg(const struct batch_label *l, struct buf *svg, struct err *e)
{
	auto_free char *text = batch_label_text(l);
	const char *lines[LINES];
	char ek[40];
	size_t n = lines_of(l, ek, lines);

	return page_qr_label(text, lines, n, svg, e);
}

int batch_label_write(const struct batch_label *l, const char *folder, struct err *e)
{
	auto_free char *path = xasprintf("%s/label.svg", folder);
	auto_buf struct buf svg = BUF_INIT, there = BUF_INIT;
	struct err ignored;

	if (batch_label_svg(l, &svg, e))
		return -1;
	if (!file_read_regular(path, SVG_MAX, &there, &ignored) && there.len == svg.len &&
	    !memcmp(there.data, svg.data, svg.len))
		return 0;
	return file_replace(path, svg.data, svg.len, 0644, e);
}

int batch_label_terminal(const struct batch_label *l, struct buf *to, struct err *e)
{
	auto_free char *text = batch_label_text(l);
	const char *lines[LINES];
	char ek[40];
	size_t n = lines_of(l, ek, lines);

	if (page_qr_terminal(text, to, e))
		return -1;
	for (size_t i = 0; i < n; i++)
		buf_addf(to, "%s\n", lines[i]);
	return 0;
}
