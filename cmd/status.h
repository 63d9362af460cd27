/* What status.c and status_devices.c share. */
#ifndef PSEC_CMD_STATUS_H
#define PSEC_CMD_STATUS_H

#include "cmd.h"

/* psec status --devices: how each device and each line does. */
must_check int status_devices(const struct cmd_env *env, struct err *e);

#endif
