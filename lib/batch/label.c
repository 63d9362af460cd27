#include "batch/batch.h"

#include "page/page.h"

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

int batch_label_svg(const struct batch_label *l, struct buf *svg, struct err *e)
{
	auto_free char *text = batch_label_text(l), *ek = xasprintf("EK %.4s %.4s %.4s %.4s", l->ek,
								    *l->ek ? l->ek + 4 : "", *l->ek ? l->ek + 8 : "",
								    *l->ek ? l->ek + 12 : "");
	const char *lines[3] = { l->serial };
	size_t n = 1;

	if (l->product && *l->product)
		lines[n++] = l->product;
	if (*l->ek)
		lines[n++] = ek;
	return page_qr_label(text, lines, n, svg, e);
}
