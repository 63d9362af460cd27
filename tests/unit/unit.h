/* What every unit test includes: cmocka and what it wants to see before. */
#ifndef PSEC_TESTS_UNIT_H
#define PSEC_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
