/* A head of the audit log: signed with the site's key, counted by the TPM. */
#include "inside.h"

/* The head is kept before it is counted: a kill between leaves the counter one behind, which whoever judges the log
 * knows. */
static int vouch(struct device *d, const struct tpm_key *key, provision_head_fn *put, void *arg, struct err *e)
{
	struct device_signing s = { d->t, key };
	auto_buf struct buf pem = BUF_INIT;
	uint64_t counter;
	bool there;

	if (place_read(d->how, "ldevid.pem", &pem, &there, e) || tpm_counter_read(d->t, &counter, &there, e))
		return -1;
	if (!there)
		return err_set(e, ERR_REFUSED, 0, "the TPM has no counter for the audit log; `psec provision` makes it");
	return put(arg, counter + 1, pem.data, device_sign, &s, e) || tpm_counter_increment(d->t, &counter, e) ? -1 : 0;
}

int provision_vouch(const struct provision_how *how, provision_head_fn *put, void *arg, struct err *e)
{
	auto_tpm_key struct tpm_key key = { 0 };
	auto_device struct device d;
	bool there;

	return device_begin(&d, how, NULL, false, e) || device_open(&d, e) ||
	       enrolment_ldevid_key(&d, "ldevid.key", &key, &there, e) || (there && vouch(&d, &key, put, arg, e)) ? -1 : 0;
}
