/* auditing: the audit log of the site, asked from psecd where it runs, else out of psec.db. */
#ifndef PSEC_CMD_AUDITING_H
#define PSEC_CMD_AUDITING_H

#include "audit/audit.h"
#include "cmd.h"
#include "database.h"

struct ctl_client;
struct auditing { const struct cmd_env *env; struct ctl_client *client; struct database database; };
/* begin: psec.db is made where there is none; else that is ERR_INPUT. auditing_close follows a failure, too. */
must_check int auditing_open(const struct cmd_env *env, bool begin, struct auditing *a, struct err *e);
void auditing_close(struct auditing *a);

/* Every record, oldest first, heads after their entries. ERR_INPUT: a record that cannot be read. */
must_check int auditing_read(struct auditing *a, audit_record_fn *fn, void *arg, struct err *e);
/* The last max entries, oldest first; there may be heads among them. */
must_check int auditing_last(struct auditing *a, size_t max, audit_record_fn *fn, void *arg, struct err *e);
/* detail: a JSON object as text. Who is the caller. psecd takes it from site-admin alone. */
must_check int auditing_append(struct auditing *a, const char *kind, const char *subject, const char *detail,
			       struct err *e);
/* A head over all there is, in two: seq and hash of what to sign next, and the head once it is signed. Between them the
 * log may be closed, and should be: who signs with a TPM needs to be who he is. */
must_check int auditing_next_head(struct auditing *a, struct audit_head *head, struct err *e);
must_check int auditing_is_vouched(struct auditing *a, bool *vouched, struct err *e); /* has the last entry a head? */
must_check int auditing_put_head(struct auditing *a, const struct audit_head *head, struct err *e);

#endif
