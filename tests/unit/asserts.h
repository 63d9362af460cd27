/* What tests say of a call that fills the struct err e. */
#ifndef PSEC_TESTS_ASSERTS_H
#define PSEC_TESTS_ASSERTS_H

#include <string.h>

#include "unit.h"

#define assert_ok(call) do { \
	if (call) \
		fail_msg("%s: %s", #call, e.text); \
} while (0)

#define assert_refused(call, kind_, words) do { \
	assert_int_equal(call, -1); \
	if (!strstr(e.text, words)) \
		fail_msg("'%s' does not say '%s'", e.text, words); \
	assert_int_equal(e.kind, kind_); \
} while (0)

#endif
