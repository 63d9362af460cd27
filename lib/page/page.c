/* The document: text and tables. */
#include <math.h>
#include <string.h>

#include "inside.h"
#include "style.h"

void html(struct page *p, const char *text)
{
	size_t len = strlen(text);
	auto_free char *safe = xcalloc(4 * len + 1, 1);

	str_printable(safe, 4 * len + 1, text, len);
	for (const char *s = safe; *s; s++) {
		const char *as = *s == '<'    ? "&lt;"
				 : *s == '>'  ? "&gt;"
				 : *s == '&'  ? "&amp;"
				 : *s == '"'  ? "&quot;"
				 : *s == '\'' ? "&#39;"
					      : NULL;

		if (as)
			buf_adds(&p->b, as);
		else
			buf_add(&p->b, s, 1);
	}
}

static void element(struct page *p, const char *name, const char *text)
{
	buf_addf(&p->b, "<%s>", name);
	html(p, text);
	buf_addf(&p->b, "</%s>\n", name);
}

void page_begin(struct page *p, const char *title, const char *subtitle)
{
	*p = (struct page){ .b = BUF_INIT };
	/* Nothing may be loaded or run, whatever a text should bring past the escapes. */
	buf_adds(&p->b,
		 "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
		 "'unsafe-inline'; base-uri 'none'; "
		 "form-action 'none'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		 "<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"generator\" "
		 "content=\"psec " PSEC_VERSION "\">\n");
	element(p, "title", title);
	buf_addf(&p->b, "<style>%s</style>\n</head>\n<body>\n<header>\n", style);
	element(p, "h1", title);
	element(p, "p", subtitle);
	buf_adds(&p->b, "</header>\n<main>\n");
}

char *page_end(struct page *p, const char *footer)
{
	buf_adds(&p->b, "</main>\n<footer>\n");
	element(p, "p", footer);
	buf_adds(&p->b, "</footer>\n</body>\n</html>\n");
	return buf_take(&p->b);
}

void page_section(struct page *p, const char *id, const char *heading)
{
	buf_addf(&p->b, "<section id=\"%s\" aria-labelledby=\"%s-h\">\n<h2 id=\"%s-h\">", id, id, id);
	html(p, heading);
	buf_adds(&p->b, "</h2>\n");
}

void page_section_end(struct page *p)
{
	buf_adds(&p->b, "</section>\n");
}

void page_paragraph(struct page *p, const char *fmt, ...)
{
	auto_buf struct buf text = BUF_INIT;
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	va_end(ap);
	element(p, "p", s);
	free(s);
}

void page_plots_begin(struct page *p)
{
	buf_adds(&p->b, "<div class=\"plots\">\n");
}

void page_plots_end(struct page *p)
{
	buf_adds(&p->b, "</div>\n");
}

void page_cell_begin(struct page *p)
{
	buf_adds(&p->b, "<div>\n");
}

void page_cell_end(struct page *p)
{
	buf_adds(&p->b, "</div>\n");
}

void page_tiles_begin(struct page *p)
{
	buf_adds(&p->b, "<dl class=\"tiles\">\n");
}

void page_tile(struct page *p, const char *name, const char *value, const char *note)
{
	buf_adds(&p->b, "<div><dt>");
	html(p, name);
	buf_adds(&p->b, "</dt><dd>");
	html(p, value);
	if (note) {
		buf_adds(&p->b, "<small>");
		html(p, note);
		buf_adds(&p->b, "</small>");
	}
	buf_adds(&p->b, "</dd></div>\n");
}

void page_tiles_end(struct page *p)
{
	buf_adds(&p->b, "</dl>\n");
}

/* ---- tables ---- */

void page_table_begin(struct page *p, const char *caption, const char *const *headings, size_t count)
{
	/* What scrolls must be reachable by the keyboard. */
	buf_adds(&p->b, "<div class=\"scroll\" tabindex=\"0\">\n<table>\n");
	if (caption)
		element(p, "caption", caption);
	buf_adds(&p->b, "<thead><tr>");
	for (size_t i = 0; i < count; i++) {
		buf_adds(&p->b, "<th scope=\"col\">");
		html(p, headings[i]);
		buf_adds(&p->b, "</th>");
	}
	buf_adds(&p->b, "</tr></thead>\n<tbody>\n");
}

void page_row_begin(struct page *p, const char *heading)
{
	buf_adds(&p->b, "<tr><th scope=\"row\">");
	html(p, heading);
	buf_adds(&p->b, "</th>");
}

void page_cell_text(struct page *p, const char *text)
{
	buf_adds(&p->b, "<td class=\"t\">");
	html(p, text);
	buf_adds(&p->b, "</td>");
}

void page_cell_number(struct page *p, const char *key, double value, const char *text)
{
	if (!isfinite(value)) {
		buf_adds(&p->b, "<td>–</td>");
		return;
	}
	if (key)
		buf_addf(&p->b, "<td><data class=\"%s\" value=\"%.15g\">", key, value);
	else
		buf_adds(&p->b, "<td>");
	html(p, text);
	buf_adds(&p->b, key ? "</data></td>" : "</td>");
}

void page_row_end(struct page *p)
{
	buf_adds(&p->b, "</tr>\n");
}

void page_table_end(struct page *p)
{
	buf_adds(&p->b, "</tbody>\n</table>\n</div>\n");
}

void page_numbers_begin(struct page *p, const char *summary)
{
	buf_adds(&p->b, "<details>");
	element(p, "summary", summary);
}

void page_numbers_end(struct page *p)
{
	buf_adds(&p->b, "</details>\n");
}
