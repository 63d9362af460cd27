#include "page/page.h"

#include <setjmp.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define WORDS "psec:serial=HC-000042;ek=0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"

/* Another's eyes: the label drawn by librsvg and read by zbar. */
static void a_label_is_read_by_a_camera(void **state)
{
	const char *lines[] = { "HC-000042", "EK <0f1e2d3c> & more" };
	char dir[] = "/tmp/psec-test-XXXXXX", path[64], command[300], read[256] = "";
	auto_buf struct buf svg = BUF_INIT;
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(page_qr_label(WORDS, lines, COUNT_OF(lines), &svg, &e), 0);
	snprintf(path, sizeof path, "%s/l.svg", dir);
	assert_int_equal(file_replace(path, svg.data, svg.len, 0600, &e), 0);
	snprintf(command, sizeof command,
		 "cd %s && rsvg-convert -w 1000 -o l.png l.svg && zbarimg -q --raw l.png 2>/dev/null; rm -f l.svg l.png; rmdir %s", dir, dir);
	FILE *p = popen(command, "r");
	assert_non_null(p);
	assert_non_null(fgets(read, sizeof read, p));
	assert_int_equal(pclose(p), 0);
	assert_string_equal(read, WORDS "\n");
	assert_non_null(strstr(svg.data, "&lt;0f1e2d3c&gt; &amp; more"));
}

enum { DOTS = 4 }; /* a module's side in a picture that zbar can read */

static void add_modules(struct buf *picture, const char *row)
{
	for (int i = 0; i < DOTS; i++) {
		for (const char *c = row; *c; c++)
			for (int k = 0; k < DOTS; k++)
				buf_add(picture, c, 1);
		buf_adds(picture, "\n");
	}
}

/* The terminal's half blocks, made into the picture that they show. */
static void a_terminal_shows_the_same_code(void **state)
{
	auto_buf struct buf text = BUF_INIT, picture = BUF_INIT;
	char dir[] = "/tmp/psec-test-XXXXXX", path[64], command[300], read[256] = "";
	struct err e;
	int width = 0, height = 0;

	(void)state;
	assert_int_equal(page_qr_terminal(WORDS, &text, &e), 0);
	for (char *line = text.data, *end; (end = strchr(line, '\n')); line = end + 1) {
		char upper[200] = "", lower[200] = "";
		int n = 0;

		for (char *c = line; c < end; n++) {
			bool top = str_starts(c, "█") || str_starts(c, "▀"), bottom = str_starts(c, "█") || str_starts(c, "▄");

			assert_true(top || bottom || *c == ' ');
			upper[n] = top ? '0' : '1';
			lower[n] = bottom ? '0' : '1';
			c += *c == ' ' ? 1 : 3;
		}
		assert_true(!width || width == n);
		width = n;
		height += 2;
		add_modules(&picture, upper);
		add_modules(&picture, lower);
	}
	auto_free char *pbm = xasprintf("P1\n%d %d\n%s", DOTS * width, DOTS * height, picture.data);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/t.pbm", dir);
	assert_int_equal(file_replace(path, pbm, strlen(pbm), 0600, &e), 0);
	snprintf(command, sizeof command,
		 "cd %s && zbarimg -q --raw t.pbm 2>/dev/null; rm -f t.pbm; rmdir %s", dir, dir);
	FILE *p = popen(command, "r");
	assert_non_null(p);
	assert_non_null(fgets(read, sizeof read, p));
	pclose(p);
	assert_string_equal(read, WORDS "\n");
}

static void a_text_too_long_for_a_label_is_refused(void **state)
{
	char text[PAGE_QR_MAX + 2];
	auto_buf struct buf b = BUF_INIT;
	struct err e;

	(void)state;
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(page_qr_terminal(text, &b, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	text[PAGE_QR_MAX] = '\0';
	assert_int_equal(page_qr_terminal(text, &b, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_label_is_read_by_a_camera),
		cmocka_unit_test(a_terminal_shows_the_same_code),
		cmocka_unit_test(a_text_too_long_for_a_label_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
