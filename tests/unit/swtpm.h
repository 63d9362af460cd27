/* A TPM of a test's own: swtpm in a private folder, with endorsement certificates of a CA in that folder, ended by its
 * pid. */
#ifndef PSEC_TESTS_SWTPM_H
#define PSEC_TESTS_SWTPM_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "crypto/crypto.h"
#include "unit.h"

extern char **environ;

struct swtpm {
	char dir[64], tcti[128];
	pid_t pid;
};

static inline void swtpm_write(const char *dir, const char *name, const char *text)
{
	auto_free char *path = xasprintf("%s/%s", dir, name);
	auto_fclose FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

/* The exit status of a program, what it says put into dir/said. */
static inline int swtpm_run_program(const char *dir, const char *const argv[])
{
	auto_free char *said = xasprintf("%s/said", dir);
	posix_spawn_file_actions_t a;
	int status;
	pid_t pid;

	assert_int_equal(posix_spawn_file_actions_init(&a), 0);
	posix_spawn_file_actions_addopen(&a, 1, said, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&a, 1, 2);
	assert_int_equal(posix_spawnp(&pid, argv[0], &a, NULL, (char *const *)argv, environ), 0);
	posix_spawn_file_actions_destroy(&a);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static inline int swtpm_remove_one(const char *path, const struct stat *s, int kind, struct FTW *f)
{
	(void)s, (void)kind, (void)f;
	return remove(path);
}

/* A new TPM, not started. */
static inline void swtpm_make(struct swtpm *s)
{
	auto_free char *conf = NULL, *ca = NULL, *config = NULL, *state = NULL, *log = NULL;

	*s = (struct swtpm){.dir = "/tmp/psec-swtpm-XXXXXX"};
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->tcti, sizeof s->tcti, "swtpm:path=%s/s", s->dir);
	ca = xasprintf("statedir = %s\nsigningkey = %s/signkey.pem\nissuercert = %s/issuercert.pem\ncertserial = "
		       "%s/serial\n", s->dir, s->dir, s->dir, s->dir);
	conf = xasprintf("create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = %s/localca.conf\n"
			 "create_certs_tool_options = %s/localca.options\nactive_pcr_banks = sha256\n", s->dir, s->dir);
	swtpm_write(s->dir, "localca.conf", ca);
	swtpm_write(s->dir, "localca.options", "--platform-manufacturer psec\n--platform-version 1\n--platform-model "
		    "test\n");
	swtpm_write(s->dir, "setup.conf", conf);
	config = xasprintf("%s/setup.conf", s->dir);
	state = xasprintf("%s/state", s->dir);
	log = xasprintf("%s/setup.log", s->dir);
	assert_int_equal(mkdir(state, 0700), 0);
	{
		const char *const argv[] = {"swtpm_setup", "--tpm2", "--config", config, "--tpmstate", state,
					    "--create-ek-cert",
				"--pcr-banks", "sha256", "--logfile", log, geteuid() == 0 ? "--runas" : NULL, "root", NULL};

		assert_int_equal(swtpm_run_program(s->dir, argv), 0);
	}
}

static inline bool swtpm_answers(const char *dir)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is;

	snprintf(a.sun_path, sizeof a.sun_path, "%s/s.ctrl", dir);
	is = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
	close(fd);
	return is;
}

static inline void swtpm_start(struct swtpm *s)
{
	auto_free char *state = xasprintf("dir=%s/state", s->dir);
	auto_free char *server = xasprintf("type=unixio,path=%s/s", s->dir);
	auto_free char *ctrl = xasprintf("type=unixio,path=%s/s.ctrl", s->dir);
	auto_free char *log = xasprintf("file=%s/swtpm.log,level=1", s->dir);
	int64_t until = now_read().boot_us + 20 * US_PER_S;

	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM); /* a test that crashes leaves none behind */
		execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server, "--ctrl", ctrl, "--flags",
		       "not-need-init,startup-clear", "--log", log, NULL);
		_exit(127);
	}
	while (!swtpm_answers(s->dir)) {
		assert_true(now_read().boot_us < until);
		assert_int_equal(waitpid(s->pid, NULL, WNOHANG), 0);
		poll(NULL, 0, 10);
	}
}

static inline void swtpm_stop(struct swtpm *s)
{
	if (s->pid <= 0)
		return;
	kill(s->pid, SIGTERM);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

static inline void swtpm_restart(struct swtpm *s)
{
	swtpm_stop(s);
	swtpm_start(s);
}

static inline void swtpm_end(struct swtpm *s)
{
	uint8_t hash[CRYPTO_HASH];
	char hex[CRYPTO_HEX], lock[128];

	swtpm_stop(s);
	crypto_sha256(s->tcti, strlen(s->tcti), hash);
	snprintf(lock, sizeof lock, "/run/lock/psec-tpm-%.32s", crypto_hex(hash, sizeof hash, hex, sizeof hex));
	unlink(lock);
	nftw(s->dir, swtpm_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
