/* tpm: the room against a real TPM 2.0 in software: opening and its lock, health, what the dead leave behind. */
#include <dlfcn.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <sys/file.h>
#include <sys/time.h>

#include "tpm_chip.h"

/* What tpm2-tss asks for is found in the program first; otherwise a third of a provisioning goes there. */
static void a_hash_of_the_library_makes_no_openssl_context_of_its_own(void **state)
{
	OSSL_LIB_CTX *(*found)(void) = (OSSL_LIB_CTX *(*)(void))(uintptr_t)dlsym(RTLD_DEFAULT, "OSSL_LIB_CTX_new");

	(void)state;
	assert_non_null(found);
	assert_ptr_equal(found(), OSSL_LIB_CTX_get0_global_default());
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void a_tpm_that_is_not_there_is_told_with_the_next_step(void **state)
{
	struct tpm *t = NULL;
	struct err e;

	(void)state;
	assert_refused(tpm_open("device:/dev/tpmrm77", 0, &t, &e), ERR_UNREACHABLE, "there is no TPM at '/dev/tpmrm77'");
	assert_refused(tpm_open("swtpm:path=/nowhere/s", 0, &t, &e), ERR_UNREACHABLE, "does it run there?");
	assert_refused(tpm_open("wrongkind:x", 0, &t, &e), ERR_INPUT, "names no way to a TPM");
	assert_refused(tpm_open("device:/dev/null/tpmrm0", 0, &t, &e), ERR_UNREACHABLE, "/dev/null/tpmrm0");
	assert_null(t);
}

static void a_second_transaction_waits_with_a_bound(void **state)
{
	struct tpm *first = opened(), *second = NULL;
	int64_t began = now_read().boot_us, took;
	struct err e;

	(void)state;
	assert_refused(tpm_open(chip.tcti, 100, &second, &e), ERR_AGAIN, "waited 100 ms for the lock");
	took = now_read().boot_us - began;
	assert_true(took >= 100 * US_PER_MS && took < 5 * US_PER_S);
	tpm_close(first);
	assert_ok(tpm_open(chip.tcti, 0, &second, &e));
	tpm_close(second);
}

static void lock_path(const char *tcti, char *path, size_t n)
{
	char hex[CRYPTO_HEX];
	uint8_t hash[CRYPTO_HASH];
	struct stat s;

	crypto_sha256(tcti, strlen(tcti), hash);
	crypto_hex(hash, sizeof hash, hex, sizeof hex);
	snprintf(path, n, "%s/psec-tpm-%.32s",
		 stat("/run/lock", &s) == 0 && (s.st_mode & 01002) == 01002 ? "/run/lock" : "/tmp", hex);
}

/* How it is open then: O_RDWR, so that an account can be kept there, or only O_RDONLY. */
static int lock_as_nobody(const char *tcti)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct err e;
		int fd;

		if (setgroups(0, NULL) || setgid(65534) || setuid(65534) || tpm_lock(tcti, 50, &fd, &e))
			_exit(99);
		_exit(fcntl(fd, F_GETFL) & O_ACCMODE);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void the_lock_is_shared_by_users_whatever_the_umask(void **state)
{
	const char *tcti = "swtpm:path=/nobody/uses/this";
	char path[128];
	mode_t mask = umask(0077);
	struct err e;
	int fd, status;
	pid_t child;

	(void)state;
	if (geteuid() != 0) {
		umask(mask);
		skip();
	}
	lock_path(tcti, path, sizeof path);
	unlink(path);
	assert_ok(tpm_lock(tcti, 0, &fd, &e));
	umask(mask);
	child = fork();
	if (child == 0) {
		int mine;

		if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
			_exit(3);
		if (!tpm_lock(tcti, 50, &mine, &e) || e.kind != ERR_AGAIN)
			_exit(1); /* it is held */
		close(fd); /* but flock goes with the open file, which the parent still has */
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	flock(fd, LOCK_UN);
	close(fd);
	assert_int_equal(lock_as_nobody(tcti), O_RDWR);
	assert_int_equal(chmod(path, 0444), 0); /* of one who keeps it to himself: a lock all the same */
	assert_int_equal(lock_as_nobody(tcti), O_RDONLY);
	unlink(path);
}

static void a_link_in_the_locks_place_is_not_followed(void **state)
{
	const char *tcti = "swtpm:path=/nobody/uses/that";
	char path[128];
	struct err e;
	int fd;

	(void)state;
	lock_path(tcti, path, sizeof path);
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_refused(tpm_lock(tcti, 0, &fd, &e), ERR_IO, path);
	unlink(path);
	assert_int_equal(mkfifo(path, 0666), 0);
	assert_refused(tpm_lock(tcti, 0, &fd, &e), ERR_REFUSED, "is not a regular file");
	unlink(path);
}

static void what_is_no_tpm_is_told(void **state)
{
	struct tpm *t;
	struct err e;

	(void)state;
	/* Ten bytes of an answer as a TPM 1.2 gives it to a command that it does not know. */
	assert_refused(tpm_open("cmd:head -c 22 >/dev/null; printf '\\0\\304\\0\\0\\0\\012\\0\\0\\0\\036'; cat >/dev/null",
				0, &t, &e), ERR_INPUT, "not a TPM 2.0");
	assert_refused(tpm_open("cmd:head -c 22 >/dev/null; yes", 0, &t, &e), ERR_INPUT, "not a TPM 2.0");
	assert_refused(tpm_open("cmd:head -c 22 >/dev/null; printf '\\200\\001\\0\\0\\0\\03'", 0, &t, &e), ERR_UNREACHABLE,
		       "the connection to the TPM broke");
	/* What has a TPM's form, of a capability that there is not. */
	assert_refused(tpm_open("cmd:head -c 22 >/dev/null; "
				"printf '\\200\\001\\0\\0\\0\\023\\0\\0\\0\\0\\0\\0\\0\\0\\377\\0\\0\\0\\0'; cat >/dev/null",
				0, &t, &e), ERR_INPUT, "not a TPM 2.0");
	assert_refused(tpm_open("cmd:true", 0, &t, &e), ERR_UNREACHABLE, "the connection to the TPM broke");
}

/* ---- health ------------------------------------------------------------------------------------------------------ */

static void health_says_what_it_is_and_what_is_set(void **state)
{
	struct tpm *t = opened();
	struct tpm_health h;
	struct err e;

	(void)state;
	assert_ok(tpm_health(t, &h, &e));
	assert_string_equal(h.manufacturer, "IBM");
	assert_string_equal(h.model, "SW   TPM");
	assert_true(h.storage_enabled && h.endorsement_enabled);
	assert_false(h.owner_auth || h.endorsement_auth || h.lockout_auth || h.in_lockout || h.failed);
	assert_true(h.max_tries > 0 && h.persistent_free > 0);
	assert_int_equal(h.transient_loaded, 0);
	assert_int_equal(h.sessions_loaded, 0);
	tpm_close(t);
}

/* A TPM that always says the same thing to commands of these lengths. */
static int open_always(const char *lengths, const char *code, struct tpm **t, struct err *e)
{
	auto_free char *tcti = xasprintf("cmd:for n in %s; do [ \"$(head -c $n | wc -c)\" = $n ] && printf "
					 "'\\200\\001\\0\\0\\0\\012\\0\\0%s'; done; cat >/dev/null", lengths, code);

	return tpm_open(tcti, 0, t, e);
}

static void a_tpm_in_failure_mode_opens_and_says_so(void **state)
{
	struct tpm_health h;
	struct tpm *t;
	struct err e;

	(void)state;
	assert_ok(open_always("22 10 22", "\\001\\001", &t, &e));
	assert_ok(tpm_health(t, &h, &e));
	assert_true(h.failed);
	tpm_close(t);
	assert_ok(open_always("22 22", "\\001\\001", &t, &e));
	{
		struct tpm_key k;
		bool found;

		assert_refused(tpm_key_find(t, TPM_IAK, &k, &found, &e), ERR_REFUSED, "failure mode; power-cycle the board");
	}
	tpm_close(t);
}

static void a_busy_tpm_is_waited_for_with_a_bound(void **state)
{
	int64_t began = now_read().boot_us;
	struct tpm *t;
	struct err e;

	(void)state;
	assert_refused(open_always("$(yes 22 | head -n 200)", "\\011\\042", &t, &e), ERR_AGAIN, "busy for too long");
	assert_true(now_read().boot_us - began < 30 * US_PER_S);
}

/* ---- left by the dead -------------------------------------------------------------------------------------------- */

static void nothing_stays_after_each_transaction(void **state)
{
	struct tpm *t = opened();
	struct tpm_health h;
	struct err e;

	(void)state;
	assert_ok(tpm_health(t, &h, &e));
	assert_int_equal(h.transient_loaded, 0);
	assert_int_equal(h.sessions_loaded, 0);
	tpm_close(t);
}

/* Loads so many of each by that way, and is killed. */
static void die_loaded(const char *tcti, int objects, int sessions)
{
	int status, ready[2];
	struct tpm *t;
	struct err e;
	pid_t child;
	char byte;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		TPM2B_PUBLIC *pub = NULL;
		ESYS_TR tr;

		if (tpm_open(tcti, 5000, &t, &e))
			_exit(1);
		for (int i = 0; i < objects; i++)
			if (tpm_primary(t, ESYS_TR_RH_OWNER, &tpm_template_sign, &tr, &pub, &e))
				_exit(2);
		for (int i = 0; i < sessions; i++)
			if (tpm_policy_start(t, &tr, &e))
				_exit(2);
		if (write(ready[1], "x", 1) != 1)
			_exit(3);
		pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
}

/* By another spelling, which has another lock: as tpm2-tools do. */
static void stranger_leaves(int objects, int sessions)
{
	auto_free char *tcti = xasprintf("cmd:socat - UNIX-CONNECT:%s/s", chip.dir);

	die_loaded(tcti, objects, sessions);
}

static void assert_loaded(struct tpm *t, uint32_t objects, uint32_t sessions)
{
	struct tpm_health h;
	struct err e;

	assert_ok(tpm_health(t, &h, &e));
	assert_int_equal(h.transient_loaded, objects);
	assert_int_equal(h.sessions_loaded, sessions);
}

static void flush_all(void)
{
	assert_int_equal(tools("tpm2_flushcontext -t && tpm2_flushcontext -l", 0), 0);
}

static void what_a_killed_process_left_is_flushed_by_the_next(void **state)
{
	struct tpm *t;

	(void)state;
	die_loaded(chip.tcti, 3, 3); /* full */
	t = opened();
	assert_loaded(t, 0, 0);
	tpm_close(t);
	nothing_stays_after_each_transaction(state);
}

static void what_a_stranger_left_is_not_flushed_with_it(void **state)
{
	struct tpm *t;

	(void)state;
	stranger_leaves(1, 1);
	die_loaded(chip.tcti, 1, 1);
	stranger_leaves(1, 1);
	t = opened();
	assert_loaded(t, 2, 2);
	tpm_close(t);
	t = opened(); /* nor later */
	assert_loaded(t, 2, 2);
	tpm_close(t);
	flush_all();
}

static void what_strangers_left_goes_when_there_is_no_room(void **state)
{
	struct tpm *t = opened();
	struct tpm_key srk = ensured(t, TPM_SRK), k;
	struct err e;

	(void)state;
	tpm_close(t);
	stranger_leaves(3, 3);
	t = opened();
	assert_loaded(t, 3, 3); /* full: told, and not touched without need */
	assert_ok(tpm_key_create(t, &k, &e));
	assert_ok(tpm_key_probe(t, &k, &e));
	assert_ok(tpm_bus(t, &e));
	tpm_key_release(&k);
	tpm_close(t);
	tpm_key_release(&srk);
	nothing_stays_after_each_transaction(state);
}

/* What stands in the lock's file, as if its holder had died so. */
static void note(const struct tpm_note *n, size_t len)
{
	struct err e;
	int fd;

	assert_ok(tpm_lock(chip.tcti, 5000, &fd, &e));
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, n, len, 0), (ssize_t)len);
	close(fd);
}

enum { NOTE_MAGIC = 0x70736331 };

/* Its answer never came to be noted. */
static void what_a_command_loaded_as_its_sender_died_is_flushed(void **state)
{
	struct tpm_note n = {.magic = NOTE_MAGIC, .loading = FIRST_TRANSIENT, .listed_count = 1, .listed = {FIRST_TRANSIENT}};
	struct tpm *t;

	(void)state;
	stranger_leaves(2, 2); /* the first was there, the second is that command's */
	note(&n, sizeof n);
	t = opened();
	assert_loaded(t, 1, 2);
	tpm_close(t);
	n.loading = FIRST_LOADED_SESSION;
	n.listed[0] = FIRST_SAVED_SESSION; /* a policy's is listed as 0x03…, loaded or saved */
	note(&n, sizeof n);
	t = opened();
	assert_loaded(t, 1, 1);
	tpm_close(t);
	note(&n, sizeof n); /* and when it had not come to load */
	t = opened();
	assert_loaded(t, 1, 1);
	tpm_close(t);
	flush_all();
}

/* Any user may write there. */
static void what_stands_in_the_locks_file_is_not_believed(void **state)
{
	struct tpm_note n = {.magic = NOTE_MAGIC, .held_count = 5, .held = {(uint32_t)TPM_HANDLE_SRK, TPM_NV_COUNTER,
			     TPM2_RH_OWNER, 0x80ffffff, 0}};
	struct tpm *t = opened();
	struct tpm_key srk = ensured(t, TPM_SRK), k;
	struct err e;
	bool found;

	(void)state;
	tpm_key_release(&srk);
	tpm_close(t);
	stranger_leaves(1, 1);
	note(&n, sizeof n);
	t = opened();
	assert_loaded(t, 1, 1);
	assert_ok(tpm_key_find(t, TPM_SRK, &k, &found, &e));
	assert_true(found);
	tpm_key_release(&k);
	tpm_close(t);
	n = (struct tpm_note){.magic = NOTE_MAGIC, .held_count = 0xffffffff, .listed_count = 0xffffffff,
			      .held = {FIRST_TRANSIENT}};
	note(&n, sizeof n);
	t = opened();
	assert_loaded(t, 1, 1);
	tpm_close(t);
	note(&n, 7);
	t = opened();
	assert_loaded(t, 1, 1);
	tpm_close(t);
	flush_all();
}

/* It may be a link of somebody's to what he could not write himself. */
static void a_file_of_other_words_in_the_locks_place_is_not_written_to(void **state)
{
	const char words[] = "root:x:0:0:root:/root:/bin/bash\n";
	char path[128], now[sizeof words] = "";
	struct tpm *t;
	struct err e;
	int fd;

	(void)state;
	lock_path(chip.tcti, path, sizeof path);
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	assert_int_equal(write(fd, words, sizeof words - 1), sizeof words - 1);
	t = opened();
	assert_ok(tpm_bus(t, &e)); /* which loads a session */
	tpm_close(t);
	assert_int_equal(pread(fd, now, sizeof now, 0), sizeof words - 1);
	assert_string_equal(now, words);
	close(fd);
	unlink(path); /* the next makes its own */
}

/* Behind a program there may be a resource manager, and others at work: it is said, not done. */
static void what_is_full_behind_a_program_is_told_with_the_remedy(void **state)
{
	auto_free char *tcti = xasprintf("cmd:socat - UNIX-CONNECT:%s/s", chip.dir);
	struct tpm_key k;
	ESYS_TR session;
	struct tpm *t;
	struct err e;

	(void)state;
	die_loaded(chip.tcti, 3, 3);
	assert_ok(tpm_open(tcti, 5000, &t, &e));
	assert_refused(tpm_key_create(t, &k, &e), ERR_AGAIN, "full of other programs' objects; end them, then flush what "
		       "is left with 'tpm2_flushcontext -t'");
	assert_refused(tpm_policy_start(t, &session, &e), ERR_AGAIN, "full of other programs' sessions");
	assert_loaded(t, 3, 3);
	tpm_close(t);
	t = opened();
	assert_ok(tpm_key_create(t, &k, &e));
	tpm_key_release(&k);
	tpm_close(t);
}

/* ---- a TPM that hangs -------------------------------------------------------------------------------------------- */

enum { SOON_MS = 1200 };

static void a_tpm_that_stops_in_a_command_is_waited_for_with_a_bound(void **state)
{
	TPM2B_PUBLIC auto_esys *pub = NULL;
	struct tpm_health h;
	struct tpm *t;
	int64_t began;
	struct err e;
	ESYS_TR tr;

	(void)state;
	assert_ok(tpm_open_bound(chip.tcti, 5000, SOON_MS, &t, &e));
	assert_ok(tpm_primary(t, ESYS_TR_RH_OWNER, &tpm_template_sign, &tr, &pub, &e));
	kill(chip.pid, SIGSTOP);
	began = now_read().boot_us;
	assert_refused(tpm_health(t, &h, &e), ERR_UNREACHABLE, "the TPM did not answer within 2 s; power-cycle the board, or "
		       "end and start again what serves the TPM");
	assert_true(now_read().boot_us - began >= SOON_MS * US_PER_MS);
	assert_refused(tpm_health(t, &h, &e), ERR_UNREACHABLE, "did not answer");
	tpm_close(t);
	assert_true(now_read().boot_us - began < 3 * SOON_MS * US_PER_MS); /* nothing was waited for again */
	assert_refused(tpm_open_bound(chip.tcti, 5000, SOON_MS, &t, &e), ERR_UNREACHABLE, "within 2 s");
	kill(chip.pid, SIGCONT);
	t = opened(); /* and what the first had loaded is flushed */
	assert_loaded(t, 0, 0);
	tpm_close(t);
}

static void nothing(int signo)
{
	(void)signo;
}

static void a_signal_that_is_handled_ends_the_wait(void **state)
{
	const struct itimerval soon = {.it_value.tv_usec = 200000};
	const struct sigaction act = {.sa_handler = nothing};
	struct sigaction before;
	struct tpm_health h;
	struct tpm *t = opened(), *second;
	struct err e;
	sigset_t alarm;

	(void)state;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm, NULL); /* timeout(1), under which suites run, blocks it */
	sigaction(SIGALRM, &act, &before);
	setitimer(ITIMER_REAL, &soon, NULL);
	assert_refused(tpm_open(chip.tcti, 60000, &second, &e), ERR_INTERRUPTED, "while another has the TPM");
	kill(chip.pid, SIGSTOP);
	setitimer(ITIMER_REAL, &soon, NULL);
	assert_refused(tpm_health(t, &h, &e), ERR_INTERRUPTED, "interrupted; say it again");
	tpm_close(t);
	kill(chip.pid, SIGCONT);
	sigaction(SIGALRM, &before, NULL);
	t = opened();
	assert_ok(tpm_health(t, &h, &e));
	tpm_close(t);
}

static void a_program_that_hangs_is_waited_for_with_a_bound(void **state)
{
	int64_t began = now_read().boot_us;
	struct tpm *t;
	struct err e;

	(void)state;
	assert_refused(tpm_open_bound("cmd:cat >/dev/null", 0, SOON_MS, &t, &e), ERR_UNREACHABLE, "did not answer within 2 s");
	assert_refused(tpm_open_bound("cmd:printf '\\200\\001'; cat >/dev/null", 0, SOON_MS, &t, &e), ERR_UNREACHABLE,
		       "did not answer within 2 s");
	assert_true(now_read().boot_us - began >= 2 * SOON_MS * US_PER_MS);
}

static void a_way_to_a_swtpm_is_read_as_the_library_reads_it(void **state)
{
	auto_free char *with_port = xasprintf("%s,port=7", chip.tcti);
	char path[200];
	struct tpm *t;
	struct err e;

	(void)state;
	assert_ok(tpm_open(with_port, 5000, &t, &e)); /* the path goes before */
	tpm_close(t);
	assert_refused(tpm_open("swtpm:paht=/x", 0, &t, &e), ERR_INPUT, "swtpm:path=SOCKET or swtpm:host=NAME,port=NUMBER");
	assert_refused(tpm_open("swtpm:host=127.0.0.1,port=tpm", 0, &t, &e), ERR_INPUT, "port=NUMBER");
	assert_refused(tpm_open("swtpm:host=127.0.0.1,port=1", 0, &t, &e), ERR_UNREACHABLE, "does it run there?");
	snprintf(path, sizeof path, "swtpm:path=/%0150d", 0);
	assert_refused(tpm_open(path, 0, &t, &e), ERR_INPUT, "has more than 107 bytes");
}

enum { CLIENTS = 6, ROUNDS = 5 };

static void six_clients_at_once_all_sign(void **state)
{
	struct tpm *t = opened();
	struct tpm_key srk = ensured(t, TPM_SRK), k;
	pid_t child[CLIENTS];
	struct err e;

	(void)state;
	assert_ok(tpm_key_create(t, &k, &e));
	tpm_close(t);
	for (int i = 0; i < CLIENTS; i++) {
		child[i] = fork();
		if (child[i] == 0) {
			for (int n = 0; n < ROUNDS; n++) {
				auto_buf struct buf der = BUF_INIT;
				uint8_t digest[CRYPTO_HASH] = {(uint8_t)i, (uint8_t)n};

				if (tpm_open(chip.tcti, 30000, &t, &e))
					_exit(1);
				if (tpm_sign(t, &k, digest, &der, &e))
					_exit(2);
				tpm_close(t);
			}
			_exit(0);
		}
	}
	for (int i = 0; i < CLIENTS; i++) {
		int status;

		assert_int_equal(waitpid(child[i], &status, 0), child[i]);
		assert_int_equal(status, 0);
	}
	tpm_key_release(&k);
	tpm_key_release(&srk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hash_of_the_library_makes_no_openssl_context_of_its_own),
		cmocka_unit_test(a_tpm_that_is_not_there_is_told_with_the_next_step),
		cmocka_unit_test(a_second_transaction_waits_with_a_bound),
		cmocka_unit_test(the_lock_is_shared_by_users_whatever_the_umask),
		cmocka_unit_test(a_link_in_the_locks_place_is_not_followed),
		cmocka_unit_test(what_is_no_tpm_is_told),
		cmocka_unit_test(health_says_what_it_is_and_what_is_set),
		cmocka_unit_test(a_tpm_in_failure_mode_opens_and_says_so),
		cmocka_unit_test(a_busy_tpm_is_waited_for_with_a_bound),
		cmocka_unit_test(nothing_stays_after_each_transaction),
		cmocka_unit_test(what_a_killed_process_left_is_flushed_by_the_next),
		cmocka_unit_test(what_a_stranger_left_is_not_flushed_with_it),
		cmocka_unit_test(what_strangers_left_goes_when_there_is_no_room),
		cmocka_unit_test(what_a_command_loaded_as_its_sender_died_is_flushed),
		cmocka_unit_test(what_stands_in_the_locks_file_is_not_believed),
		cmocka_unit_test(a_file_of_other_words_in_the_locks_place_is_not_written_to),
		cmocka_unit_test(what_is_full_behind_a_program_is_told_with_the_remedy),
		cmocka_unit_test(a_tpm_that_stops_in_a_command_is_waited_for_with_a_bound),
		cmocka_unit_test(a_signal_that_is_handled_ends_the_wait),
		cmocka_unit_test(a_program_that_hangs_is_waited_for_with_a_bound),
		cmocka_unit_test(a_way_to_a_swtpm_is_read_as_the_library_reads_it),
		cmocka_unit_test(six_clients_at_once_all_sign),
	};

	return cmocka_run_group_tests(tests, make_chip, end_chip);
}
