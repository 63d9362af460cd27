/* The system calls that stay. */
#ifndef PSEC_JAIL_FILTER_H
#define PSEC_JAIL_FILTER_H

#include "jail/jail.h"

must_check int filter_load(const struct jail_spec *spec, struct err *e);

#endif
