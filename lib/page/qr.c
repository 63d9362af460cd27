/* QR codes (ISO/IEC 18004): a label to print, and the same code for a terminal. */
#include <qrencode.h>
#include <errno.h>
#include <string.h>

#include "inside.h"

enum { QUIET = 4 }; /* modules of margin that a reader needs (ISO/IEC 18004, 5.3.8) */

static int encode(const char *text, QRcode **out, struct err *e)
{
	if (strlen(text) > PAGE_QR_MAX)
		return err_set(e, ERR_INPUT, 0, "a QR code of %zu bytes cannot be read off a label, at most %d", strlen(text),
			       PAGE_QR_MAX);
	/* level Q: a quarter of the code may be scratched away */
	*out = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_Q);
	return *out ? 0 : err_set(e, errno == ENOMEM ? ERR_IO : ERR_INPUT, errno, "cannot make a QR code");
}

static bool dark(const QRcode *q, int x, int y)
{
	return x >= 0 && y >= 0 && x < q->width && y < q->width && (q->data[y * q->width + x] & 1);
}

/* Each row's runs of dark modules as one path, so that no hairlines appear between them in print. */
static void draw(struct buf *b, const QRcode *q)
{
	buf_adds(b, "<path fill=\"#000\" d=\"");
	for (int y = 0; y < q->width; y++) {
		for (int x = 0, run; x < q->width; x += run) {
			run = 1;
			if (!dark(q, x, y))
				continue;
			while (dark(q, x + run, y))
				run++;
			buf_addf(b, "M%d %dh%dv1h-%dz", x + QUIET, y + QUIET, run, run);
		}
	}
	buf_adds(b, "\"/>\n");
}

int page_qr_label(const char *text, const char *const *lines, size_t count, struct buf *svg, struct err *e)
{
	struct page words = { .b = BUF_INIT };
	QRcode *q;
	double side, wide;

	if (encode(text, &q, e) < 0)
		return -1;
	side = q->width + 2 * QUIET;
	wide = side * 2.5;
	buf_addf(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"62mm\" height=\"%.1fmm\" viewBox=\"0 0 %g %g\">\n"
		 "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n", 62 * side / wide, wide, side);
	draw(svg, q);
	for (size_t i = 0; i < count; i++) {
		buf_clear(&words.b);
		html(&words, lines[i]);
		buf_addf(svg, "<text x=\"%g\" y=\"%g\" font-family=\"sans-serif\" font-size=\"%g\" "
			 "font-weight=\"%s\">%s</text>\n", side + 1, side * (i + 1) / (count + 1), side / 9, i ? "normal" : "bold",
			 words.b.data ? words.b.data : "");
	}
	buf_adds(svg, "</svg>\n");
	buf_release(&words.b);
	QRcode_free(q);
	return 0;
}

int page_qr_terminal(const char *text, struct buf *to, struct err *e)
{
	static const char *const halves[] = { "█", "▀", "▄", " " }; /* light is drawn: most terminals are dark */
	QRcode *q;

	if (encode(text, &q, e) < 0)
		return -1;
	for (int y = -QUIET; y < q->width + QUIET; y += 2) {
		for (int x = -QUIET; x < q->width + QUIET; x++)
			buf_adds(to, halves[dark(q, x, y) * 2 + dark(q, x, y + 1)]);
		buf_adds(to, "\n");
	}
	QRcode_free(q);
	return 0;
}
