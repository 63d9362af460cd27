#include "jail/jail.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "unit.h"

/* LSan stops and traces its process at exit, ASan opens files for its report: such a build cannot forbid that. */
#ifdef __SANITIZE_ADDRESS__
static const bool sanitized = true;
#else
static const bool sanitized;
#endif

/* Each test's work runs in a child that enters the jail; it says by its exit status at which line it failed. */
#define NEED(what)                                  \
	do {                                        \
		if (!(what)) {                      \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #what, errno); \
			_exit(1);                   \
		}                                   \
	} while (0)

static int in_jail(const struct jail_spec *spec, void (*work)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		char missing[160];
		struct err e;

		if (jail_enter(spec, missing, &e) < 0) {
			fprintf(stderr, "%s\n", e.text);
			_exit(2);
		}
		work();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static bool ended_well(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

/* The status file is opened before the jail that forbids it. */
static int status_fd;

static void look_at_status(void)
{
	static const char *const lines[] = { "\nNoNewPrivs:\t1\n",  "\nSeccomp:\t2\n",
					     "\nCapEff:\t0000000000000000\n", "\nCapPrm:\t0000000000000000\n",
					     "\nCapInh:\t0000000000000000\n", "\nCapAmb:\t0000000000000000\n" };
	char text[8192];
	ssize_t n = pread(status_fd, text, sizeof text - 1, 0);

	NEED(n > 0);
	text[n] = '\0';
	for (size_t i = 0; i < COUNT_OF(lines); i++)
		NEED(strstr(text, lines[i]));
	if (geteuid() == 0)
		NEED(strstr(text, "\nCapBnd:\t0000000000000000\n"));
	NEED(prctl(PR_GET_DUMPABLE) == 0);
}

static void the_kernel_says_that_nothing_is_left(void **state)
{
	struct jail_spec spec = { 0 };
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		char missing[160];
		struct err e;

		status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
		NEED(status_fd >= 0);
		NEED(jail_enter(&spec, missing, &e) == 0);
		NEED(str_eq(missing, "") == (prctl(PR_CAPBSET_READ, 0) == 0));
		look_at_status();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(ended_well(status));
}

static void look_at_user(void)
{
	uid_t r, e, s;
	gid_t groups[64];
	int n;

	NEED(getresuid(&r, &e, &s) == 0 && r == 65534 && e == 65534 && s == 65534);
	n = getgroups(64, groups);
	NEED(n >= 0);
	for (int i = 0; i < n; i++)
		NEED(groups[i] != 0);
}

static void root_becomes_the_user_with_its_groups(void **state)
{
	struct jail_spec spec = { .user = "nobody" };

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_true(ended_well(in_jail(&spec, look_at_user)));
}

static void an_unknown_user_is_an_error(void **state)
{
	struct jail_spec spec = { .user = "no-such-user" };
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		char missing[160];
		struct err e;
		int rc = jail_enter(&spec, missing, &e);

		/* Not used when not root. */
		NEED(geteuid() == 0 ? rc == -1 && e.kind == ERR_INPUT : rc == 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(ended_well(status));
}

static void without_root_it_says_what_is_missing(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		struct jail_spec spec = { .user = "nobody" };
		char missing[160];
		struct err e;

		if (geteuid() == 0)
			NEED(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
		NEED(jail_enter(&spec, missing, &e) == 0);
		NEED(str_eq(missing, "not started as root: one user for all processes, no empty capability bounding set"));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(ended_well(status));
}

/* ---- families ---- */

static int family(int domain, int protocol)
{
	int fd = socket(domain, (domain == AF_NETLINK ? SOCK_RAW : SOCK_STREAM) | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static void only_unix(void)
{
	int fds[2];

	NEED(family(AF_UNIX, 0) == 0);
	NEED(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	NEED(family(AF_INET, 0) == EAFNOSUPPORT);
	NEED(family(AF_INET6, 0) == EAFNOSUPPORT);
	NEED(family(AF_NETLINK, 0) == EAFNOSUPPORT);
	NEED(family(AF_PACKET, 0) == EAFNOSUPPORT);
	NEED(family(1000, 0) == EAFNOSUPPORT);
	NEED(family(-1, 0) == EAFNOSUPPORT);
}

static void inet_and_route(void)
{
	NEED(family(AF_INET, 0) == 0);
	NEED(family(AF_INET6, 0) == 0 || errno == EAFNOSUPPORT);
	NEED(family(AF_NETLINK, 0) == 0);
	NEED(family(AF_NETLINK, 16) == EPROTONOSUPPORT);
	NEED(family(AF_UNIX, 0) == EAFNOSUPPORT);
}

static void a_family_that_was_not_asked_for_is_not_supported(void **state)
{
	struct jail_spec local = { .families = JAIL_UNIX }, net = { .families = JAIL_INET | JAIL_NETLINK };

	(void)state;
	assert_true(ended_well(in_jail(&local, only_unix)));
	assert_true(ended_well(in_jail(&net, inet_and_route)));
}

static void listen_on_a_port(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	bind(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&any, sizeof any);
}

static void a_jailed_process_serves_no_port(void **state)
{
	struct jail_spec spec = { .families = JAIL_INET | JAIL_UNIX, .needs = JAIL_FILES | JAIL_TTY };

	(void)state;
	assert_true(was_killed(in_jail(&spec, listen_on_a_port)));
}

/* ---- what kills ---- */

static void execute(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

static void change_root(void)
{
	if (chroot("/") < 0)
		_exit(3);
}

static void start_process(void)
{
	syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void trace(void)
{
	syscall(SYS_ptrace, 0, 0, 0, 0);
}

static void a_call_outside_the_list_kills(void **state)
{
	struct jail_spec spec = { .families = JAIL_UNIX | JAIL_INET, .needs = JAIL_FILES | JAIL_TTY };

	(void)state;
	assert_true(was_killed(in_jail(&spec, execute)));
	assert_true(was_killed(in_jail(&spec, change_root)));
	assert_true(sanitized || was_killed(in_jail(&spec, start_process)));
	assert_true(sanitized || was_killed(in_jail(&spec, trace)));
}

static void map_code(void)
{
	NEED(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EACCES);
	NEED(open("/etc/passwd", O_RDONLY | O_CLOEXEC) == -1 && errno == EACCES);
}

static void new_code_and_files_are_refused(void **state)
{
	struct jail_spec spec = { 0 };

	(void)state;
	if (sanitized)
		skip();
	assert_true(ended_well(in_jail(&spec, map_code)));
}

/* ---- what must work ---- */

static void work_an_ordinary_day(void)
{
	struct itimerspec soon = { .it_value.tv_nsec = 1000 };
	struct epoll_event ev = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC), fds[2], got = -1;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec io = { .iov_base = (char[1]){ 'x' }, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	char text[BASE_TIME_LEN];

	/* Small, large, and grown in place. */
	for (size_t n = 1; n < 100000000; n *= 3)
		free(xrealloc(xcalloc(1, n), 2 * n, 1));
	NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &ev) == 0);
	NEED(timerfd_settime(timer, 0, &soon, NULL) == 0);
	NEED(epoll_wait(epoll, &ev, 1, -1) == 1);
	NEED(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
						 .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &timer, sizeof timer);
	NEED(sendmsg(fds[0], &msg, MSG_NOSIGNAL) == 1);
	NEED(recvmsg(fds[1], &msg, MSG_CMSG_CLOEXEC) == 1);
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof got);
	NEED(got > timer);
	NEED(now_read().boot_us > 0 && strlen(time_format(now_read().utc_us, text)) == 24);
	log_init("test", LOG_ERROR);
	log_line(LOG_INFO, "not shown");
	NEED(fcntl(got, F_SETFL, O_NONBLOCK) == 0);
	isatty(1);
	exit(0); /* with everything that runs at exit */
}

static void ordinary_work_is_undisturbed(void **state)
{
	struct jail_spec spec = { .families = JAIL_UNIX };

	(void)state;
	assert_true(ended_well(in_jail(&spec, work_an_ordinary_day)));
}

static void abort_here(void)
{
	abort();
}

static void an_abort_is_still_an_abort(void **state)
{
	struct jail_spec spec = { 0 };
	int status = in_jail(&spec, abort_here);

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static char db_dir[] = "/tmp/psec-jail.XXXXXX";

static void use_database(void)
{
	auto_free char *path = xasprintf("%s/test.db", db_dir);
	sqlite3 *db;

	NEED(sqlite3_open(path, &db) == SQLITE_OK);
	NEED(sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (a, b);", NULL, NULL,
			  NULL) == SQLITE_OK);
	NEED(sqlite3_exec(db, "BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
			      "INSERT INTO t SELECT i, hex(randomblob(20)) FROM n; CREATE INDEX i ON t (b); COMMIT;",
			  NULL, NULL, NULL) == SQLITE_OK);
	NEED(sqlite3_exec(db, "SELECT * FROM t ORDER BY b DESC; DELETE FROM t WHERE a % 2; "
			      "PRAGMA wal_checkpoint(TRUNCATE); VACUUM; PRAGMA quick_check;", NULL, NULL, NULL) == SQLITE_OK);
	NEED(sqlite3_close(db) == SQLITE_OK);
	path = (free(path), xasprintf("%s/file", db_dir));
	{
		struct err e;
		auto_buf struct buf b = BUF_INIT;

		NEED(file_replace(path, "x", 1, 0600, &e) == 0 && file_replace(path, "y", 1, 0600, &e) == 0);
		NEED(file_read(path, 10, &b, &e) == 0 && str_eq(b.data, "y"));
	}
}

static void the_database_works_with_files(void **state)
{
	struct jail_spec spec = { .needs = JAIL_FILES };
	auto_free char *rm = NULL;

	(void)state;
	assert_non_null(mkdtemp(db_dir));
	rm = xasprintf("rm -rf '%s'", db_dir);
	assert_true(ended_well(in_jail(&spec, use_database)));
	assert_int_equal(system(rm), 0);
}

static void *thread(void *arg)
{
	return arg;
}

static void start_thread(void)
{
	pthread_t t;

	NEED(pthread_create(&t, NULL, thread, NULL) == 0);
}

static void no_thread_starts(void **state)
{
	struct jail_spec spec = { .families = JAIL_UNIX | JAIL_INET, .needs = JAIL_FILES | JAIL_TTY }, none = { 0 };

	(void)state;
	assert_true(sanitized || was_killed(in_jail(&spec, start_thread)));
	assert_true(sanitized || was_killed(in_jail(&none, start_thread)));
}

static char line_path[64];

static void set_up_line(void)
{
	int fd = open(line_path, O_RDWR | O_NOCTTY | O_NDELAY | O_EXCL | O_CLOEXEC);
	struct termios t;

	NEED(fd >= 0);
	NEED(tcgetattr(fd, &t) == 0);
	cfmakeraw(&t);
	cfsetspeed(&t, B19200);
	t.c_cflag |= PARENB;
	NEED(tcsetattr(fd, TCSANOW, &t) == 0);
	NEED(tcflush(fd, TCIOFLUSH) == 0);
	NEED(tcdrain(fd) == 0);
	NEED(write(fd, "x", 1) == 1);
}

static void make_file(void)
{
	open("/tmp/psec-jail-never", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static void a_serial_line_can_be_opened_and_set_up(void **state)
{
	struct jail_spec spec = { .needs = JAIL_TTY };
	auto_close int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	(void)state;
	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	assert_int_equal(ptsname_r(master, line_path, sizeof line_path), 0);
	assert_true(ended_well(in_jail(&spec, set_up_line)));
	if (!sanitized) {
		assert_true(was_killed(in_jail(&spec, make_file)));
		assert_int_equal(access("/tmp/psec-jail-never", F_OK), -1);
	}
}

/* ---- following the parent ---- */

static void a_change_of_user_does_not_forget_the_parent(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		struct jail_spec spec = { .user = "nobody" };
		char missing[160];
		int signo = 0;
		struct err e;

		NEED(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
		NEED(jail_enter(&spec, missing, &e) == 0);
		NEED(prctl(PR_GET_PDEATHSIG, &signo) == 0 && signo == SIGKILL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(ended_well(status));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_says_that_nothing_is_left),
		cmocka_unit_test(root_becomes_the_user_with_its_groups),
		cmocka_unit_test(an_unknown_user_is_an_error),
		cmocka_unit_test(without_root_it_says_what_is_missing),
		cmocka_unit_test(a_family_that_was_not_asked_for_is_not_supported),
		cmocka_unit_test(a_jailed_process_serves_no_port),
		cmocka_unit_test(a_call_outside_the_list_kills),
		cmocka_unit_test(new_code_and_files_are_refused),
		cmocka_unit_test(ordinary_work_is_undisturbed),
		cmocka_unit_test(an_abort_is_still_an_abort),
		cmocka_unit_test(the_database_works_with_files),
		cmocka_unit_test(no_thread_starts),
		cmocka_unit_test(a_serial_line_can_be_opened_and_set_up),
		cmocka_unit_test(a_change_of_user_does_not_forget_the_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
