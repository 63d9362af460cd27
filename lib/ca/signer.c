/* The site's own CA behind a program: the request on its standard input, names as arguments, a PEM chain on its
 * standard output. It is believed nothing: what it gives must be the right certificate under the roots we know. */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proc/proc.h"

enum { SIGNER_MS = 60000, ENDING_MS = 2000, LATER_S_MAX = 86400 };

static void proc_drop(struct proc *p)
{
	proc_end(p, ENDING_MS);
}

/* "20271128120000Z", as openssl ca takes it. */
static const char *asn1_time(int64_t utc_us, char to[BASE_TIME_LEN])
{
	char text[BASE_TIME_LEN];
	size_t n = 0;

	if (utc_us == INT64_MAX)
		return "99991231235959Z";
	time_format(utc_us, text);
	for (const char *p = text; *p && *p != '.'; p++)
		if (*p >= '0' && *p <= '9')
			to[n++] = *p;
	to[n++] = 'Z';
	to[n] = '\0';
	return to;
}

static int input_of(const char *csr, int *fd, struct err *e)
{
	*fd = memfd_create("csr", MFD_CLOEXEC);
	if (*fd < 0)
		return err_set(e, ERR_IO, errno, "cannot hand the request to the signer");
	if (fd_write_all(*fd, csr, strlen(csr), e))
		return -1;
	return lseek(*fd, 0, SEEK_SET) < 0 ? err_set(e, ERR_IO, errno, "cannot hand the request to the signer") : 0;
}

/* All that it says, until it closes its output. */
static int hear(const struct ca *c, int fd, int64_t until_us, struct buf *said, struct err *e)
{
	char chunk[4096];

	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		int n = poll(&wait, 1, time_left_ms(until_us));
		ssize_t got;

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			return err_set(e, ERR_AGAIN, 0, "the signer '%s' took longer than %d s", c->signer, SIGNER_MS / 1000);
		got = n < 0 ? -1 : read(fd, chunk, sizeof chunk);
		if (got < 0)
			return err_set(e, ERR_IO, errno, "cannot hear the signer '%s'", c->signer);
		if (got == 0)
			return 0;
		if (said->len + (size_t)got > ENROL_MAX)
			return err_set(e, ERR_INPUT, 0, "the signer '%s' said more than %d bytes", c->signer, ENROL_MAX);
		buf_add(said, chunk, (size_t)got);
	}
}

static int ended_well(const struct ca *c, struct proc *p, int64_t until_us, struct err *e)
{
	struct pollfd wait = { .fd = p->pidfd, .events = POLLIN };
	char how[64];
	bool clean;
	int n;

	do
		n = poll(&wait, 1, time_left_ms(until_us));
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return err_set(e, ERR_AGAIN, 0, "the signer '%s' took longer than %d s", c->signer, SIGNER_MS / 1000);
	proc_reap(p, &clean, how);
	return clean ? 0 : err_set(e, ERR_REFUSED, 0, "the signer '%s' did not sign: %s", c->signer, how);
}

static int run(struct ca *c, const char *const *argv, const char *csr, struct buf *said, struct err *e)
{
	int64_t until_us = now_read().boot_us + SIGNER_MS * US_PER_MS;
	auto_close int in = -1, out = -1, theirs = -1;
	__attribute__((cleanup(proc_drop))) struct proc p = { .pid = -1, .pidfd = -1 };
	auto_free char *folder = xasprintf("PSEC_CA=%s", c->dir);
	const char *const env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
				    folder, NULL };
	int pair[2];

	if (input_of(csr, &in, e))
		return -1;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_set(e, ERR_IO, errno, "cannot hear a signer");
	out = pair[0];
	theirs = pair[1];
	const struct proc_fd fds[] = { { in, 0 }, { theirs, 1 } };
	const struct proc_spec spec = { .argv = argv, .env = env, .fds = fds, .fd_count = COUNT_OF(fds) };
	if (proc_start(&spec, &p, e))
		return -1;
	base_close_(&theirs);
	theirs = -1;
	return hear(c, out, until_us, said, e) || ended_well(c, &p, until_us, e) ? -1 : 0;
}

/* ---- judging what it gave ---- */

/* The leaf and what is between; a root is not sent along. */
static int take_apart(struct ca *c, const char *said, struct buf *chain, struct crypto_cert **leaf, struct err *e)
{
	auto_buf struct buf one = BUF_INIT, ours = BUF_INIT;
	size_t count = 0;

	for (const char *at = said; enrol_pem_next(&at, &one); count++) {
		auto_crypto_cert struct crypto_cert *cert = NULL;
		struct crypto_cert_facts f;

		if (count == ENROL_CHAIN || crypto_cert_from_pem(one.data, &cert, e))
			return err_set(e, ERR_INPUT, 0, "the signer '%s' gave a chain that is too long or no PEM", c->signer);
		crypto_cert_facts(cert, &f);
		if (count == 0)
			*leaf = take(cert);
		else if (str_eq(f.issuer, f.subject))
			continue;
		buf_adds(chain, one.data);
	}
	if (!*leaf)
		return err_set(e, ERR_INPUT, 0, "the signer '%s' gave no certificate", c->signer);
	if (count > 1)
		return 0;
	if (ca_text(c, "intermediate.pem", &ours, e))
		return -1;
	buf_adds(chain, ours.data);
	return 0;
}

static int check_leaf(const struct ca *c, const struct judged *j, const struct crypto_cert *leaf, int64_t not_after_us,
		      struct err *e)
{
	const struct enrol_request *r = &j->request;
	const char *cn = r->profile == ENROL_LDEVID ? r->site : r->serial;
	auto_crypto_key struct crypto_key *key = NULL;
	struct crypto_cert_facts f;

	crypto_cert_facts(leaf, &f);
	if (crypto_cert_key(leaf, &key, e))
		return -1;
	if (!crypto_key_same(key, j->key))
		return err_set(e, ERR_REFUSED, 0, "the signer '%s' certified another key", c->signer);
	if (!str_eq(f.cn, cn) || !str_eq(f.serial_number, r->serial))
		return err_set(e, ERR_REFUSED, 0, "the signer '%s' gave the names CN '%s', serialNumber '%s'; must be '%s', "
						  "'%s'", c->signer, f.cn, f.serial_number, cn, r->serial);
	if (f.is_ca)
		return err_set(e, ERR_REFUSED, 0, "the signer '%s' gave the certificate of a CA", c->signer);
	if (not_after_us != INT64_MAX && f.not_after_us > not_after_us + LATER_S_MAX * US_PER_S)
		return err_set(e, ERR_REFUSED, 0, "the signer '%s' gave a certificate for longer than it was asked for",
			       c->signer);
	return 0;
}

static int check_signed(struct ca *c, const struct now *now, const struct judged *j, const struct buf *chain,
			const struct crypto_cert *leaf, struct err *e)
{
	auto_crypto_bag struct crypto_bag *roots = NULL, *between = NULL;
	auto_free char *path = ca_path(c, "root.pem");
	struct crypto_check how = { .use = j->request.profile == ENROL_LDEVID ? CRYPTO_USE_CLIENT : CRYPTO_USE_DEVICE,
				    .now = now };
	bool time_checked;

	if (crypto_bag_new(&roots, e) || crypto_bag_read(roots, path, e) || crypto_bag_new(&between, e) ||
	    crypto_bag_add_pem(between, "the signer's chain", chain->data, e))
		return -1;
	how.roots = roots;
	how.between = between;
	if (crypto_cert_check(leaf, &how, &time_checked, e))
		return err_ctx(e, "what the signer '%s' gave", c->signer);
	return 0;
}

int signer_sign(struct ca *c, const struct now *now, const struct judged *j, struct buf *chain,
		struct crypto_cert **leaf, struct err *e)
{
	const struct enrol_request *r = &j->request;
	bool site = r->profile == ENROL_LDEVID;
	int64_t not_after_us = site ? now->utc_us + LDEVID_S * US_PER_S : INT64_MAX;
	char from[BASE_TIME_LEN], to[BASE_TIME_LEN];
	auto_buf struct buf said = BUF_INIT;
	const char *const argv[] = {
		c->signer, "--profile", enrol_profile_name(r->profile), "--cn", site ? r->site : r->serial,
		"--serial-number", r->serial, "--not-before", asn1_time(now->utc_us - BEFORE_S * US_PER_S, from),
		"--not-after", asn1_time(not_after_us, to), "--key-usage", "digitalSignature",
		site ? "--extended-key-usage" : NULL, "clientAuth", NULL,
	};

	if (run(c, argv, r->csr, &said, e))
		return -1;
	buf_adds(&said, "");
	if (take_apart(c, said.data, chain, leaf, e) || check_leaf(c, j, *leaf, not_after_us, e))
		return -1;
	return check_signed(c, now, j, chain, *leaf, e);
}
