/* core keeps the events of the field, and of callers who are refused, within bounds: each within its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/core.h"

/* ---- core's other parts ------------------------------------------------------------------------------------------ */

void record_event(struct core *c, enum severity severity, const char *kind, const char *subject, const char *who,
		  const char *fmt, ...)
{
	(void)c, (void)severity, (void)kind, (void)subject, (void)who, (void)fmt;
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static struct core core;

static int kept(int times, const char *kind, const char *subject)
{
	int n = 0;

	for (int i = 0; i < times; i++)
		n += quota_allows(&core, SEVERITY_WARNING, kind, subject, "");
	return n;
}

static void a_kind_of_one_subject_has_its_own_bound(void **state)
{
	(void)state;
	assert_int_equal(kept(100, "refused", "unix:anna"), 20);
	assert_int_equal(kept(1, "refused", "unix:bob"), 1);
	assert_int_equal(kept(1, "state", "unix:anna"), 1);
}

static void the_longest_name_of_a_caller_is_told_apart(void **state)
{
	char name[sizeof((struct right_caller *)NULL)->name] = "", other[sizeof name] = "";

	(void)state;
	memset(name, 'n', sizeof name - 1);
	memset(other, 'n', sizeof other - 2);
	assert_int_equal(kept(1000, "refused", name), 20);
	assert_int_equal(kept(1, "refused", other), 1);
	assert_int_equal(kept(1, "state", "meter"), 1);
}

static int begin(void **state)
{
	struct err e;

	(void)state;
	if (loop_new(&core.loop, &e) < 0)
		return -1;
	quota_init(&core);
	return 0;
}

static int end(void **state)
{
	(void)state;
	quota_release(&core);
	loop_free(core.loop);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_kind_of_one_subject_has_its_own_bound, begin, end),
		cmocka_unit_test_setup_teardown(the_longest_name_of_a_caller_is_told_apart, begin, end),
	};

	return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
