#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../cmd/frame.h"

/* A table of the test's own: no command of psec takes a secret today, and the rule must hold for the first that does. */
static const struct cmd_opt opts[] = {
	{ .name = "pin", .letter = 'p', .type = CMD_TEXT, .value = "PIN", .secret = true },
	{ .name = "user", .letter = 'u', .type = CMD_TEXT, .value = "NAME" },
};
static const struct cmd login = { .name = "login", .summary = "", .opts = opts, .opt_count = COUNT_OF(opts) };
static const struct cmd portal = { .name = "portal", .summary = "", .sub = (const struct cmd *const[]){ &login, NULL } };
static const struct cmd other = { .name = "other", .summary = "" };
const struct cmd_entry cmd_table[] = { { "Test", &portal }, { "Test", &other }, { NULL, NULL } };

static bool kept(const char *line)
{
	auto_free char **words = NULL;
	int count = 0;
	struct err e = { 0 };

	if (cmd_split(line, &words, &count, &e))
		fail_msg("%s", e.text);
	return !cmd_line_is_secret(words, count);
}

static void a_line_with_a_secret_option_is_not_kept(void **state)
{
	(void)state;
	assert_false(kept("portal login --pin 1234"));
	assert_false(kept("portal login --pin=1234"));
	assert_false(kept("portal login --user anna --pi 1234"));
	assert_false(kept("portal login -p 1234"));
	assert_false(kept("portal login -p1234"));
	assert_false(kept("portal login '--pin' 1234"));
	assert_false(kept("psec portal login --pin 1234"));
	assert_true(kept("portal login --user anna"));
	assert_true(kept("portal login -u anna"));
	assert_true(kept("psec portal login --help"));
}

static void a_mistyped_command_gives_no_secret_away(void **state)
{
	(void)state;
	assert_false(kept("portal logn --pin 1234"));
	assert_false(kept("ortal login --pin=1234"));
	assert_false(kept("psec ortal login -p 1234"));
	assert_true(kept("ortal login --user anna"));
	assert_true(kept("other --pin-up 3"));
}

static void a_telling_word_is_enough(void **state)
{
	(void)state;
	assert_false(kept("other --Password x"));
	assert_false(kept("other my-token=1"));
	assert_true(kept("other"));
	assert_true(kept("psec"));
	assert_true(kept(""));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_with_a_secret_option_is_not_kept),
		cmocka_unit_test(a_mistyped_command_gives_no_secret_away),
		cmocka_unit_test(a_telling_word_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
