/* The seccomp filter: a list of what may be called, everything else kills the process. Calls are named for all
 * architectures at once; libseccomp leaves out those that this one does not have. */
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <asm/termbits.h>
#include <linux/netlink.h>
#include <unistd.h>

#define DENY(errnum) SCMP_ACT_ERRNO(errnum)

/* Memory, time, waiting, and descriptors that are already open. */
static const char *const always[] = {
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "lseek", "_llseek", "close",
	"close_range", "fstat", "fstat64", "fstatat64", "newfstatat", "statx", "stat", "lstat", "stat64", "lstat64",
	"dup",
	"dup2", "dup3", "fcntl", "fcntl64", "pipe", "pipe2", "eventfd2", "memfd_create", "brk", "munmap", "mremap",
	"madvise", "clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "clock_nanosleep",
	"clock_nanosleep_time64", "nanosleep", "gettimeofday", "time", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2", "poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6",
	"pselect6_time64", "timerfd_create", "timerfd_settime", "timerfd_settime64", "timerfd_gettime",
	"timerfd_gettime64", "signalfd4", "rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigreturn",
	"sigreturn",
	"sigaltstack", "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getuid32", "geteuid32",
	"getgid32", "getegid32", "getresuid", "getresgid", "getresuid32", "getresgid32", "getgroups", "getgroups32",
	"capget", "futex", "futex_time64", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "getcpu",
	"getrandom", "uname", "sysinfo", "getrusage", "times", "getrlimit", "ugetrlimit", "restart_syscall", "exit",
	"exit_group", "socketcall", "connect", "accept", "accept4", "getsockopt", "setsockopt", "getsockname",
	"getpeername", "shutdown", "send", "sendto", "sendmsg", "recv", "recvfrom", "recvmsg",
};

static const char *const files[] = {
	"open", "openat", "access", "faccessat", "faccessat2", "unlink", "unlinkat", "rename", "renameat", "renameat2",
	"mkdir", "mkdirat", "ftruncate", "ftruncate64", "fallocate", "fadvise64", "fadvise64_64", "arm_fadvise64_64",
	"fsync", "fdatasync", "fchmod", "fchown", "fchown32", "flock", "getdents64", "readlink", "readlinkat", "getcwd",
	"statfs", "statfs64", "fstatfs", "fstatfs64", "utimensat", "utimensat_time64", "umask",
};

#ifdef __SANITIZE_ADDRESS__
/* What ASan needs to print a report, and LSan to stop the process and look at it at exit. Such a build is for tests. */
static const char *const sanitizer[] = {
	"open", "openat", "readlink", "readlinkat", "getdents", "getdents64", "access", "clone", "clone3", "prctl",
		"ptrace",
	"wait4", "waitid", "kill", "tgkill", "process_vm_readv", "mmap", "mprotect", "prlimit64", "setrlimit",
	"mincore",
	"getcwd", "sched_getparam", "sched_getscheduler", "ioctl", "arch_prctl", "personality",
};
#endif

static const unsigned long line_ioctls[] = {
	TCSETS, TCSETSW, TCSETSF, TCGETS2, TCSETS2, TCSETSW2, TCSETSF2, TCSBRK, TCSBRKP, TCFLSH, TCXONC, TIOCEXCL,
		TIOCNXCL,
	TIOCMGET, TIOCMSET, TIOCMBIS, TIOCMBIC, TIOCOUTQ, TIOCGRS485, TIOCSRS485,
};

/* A filter being made, and the first thing that went wrong. */
struct filter {
	scmp_filter_ctx ctx;
	int failed; /* negative errno, or 0 */
};

static void rule(struct filter *f, uint32_t action, const char *name, const struct scmp_arg_cmp *cmp, unsigned n)
{
	int nr = seccomp_syscall_resolve_name(name), rc;

	if (f->failed || nr == __NR_SCMP_ERROR)
		return;
	rc = seccomp_rule_add_array(f->ctx, action, nr, n, cmp);
	if (rc < 0)
		f->failed = rc;
}

static void allow_all(struct filter *f, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rule(f, SCMP_ACT_ALLOW, names[i], NULL, 0);
}

/* One argument decides. */
static void rule_if(struct filter *f, uint32_t action, const char *name, struct scmp_arg_cmp cmp)
{
	rule(f, action, name, &cmp, 1);
}

static void allow_memory(struct filter *f)
{
	static const char *const calls[] = { "mmap", "mmap2", "mprotect" };

	/* Code is what was mapped before. An error, not death: a library that tries dlopen is told no. */
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		rule_if(f, SCMP_ACT_ALLOW, calls[i], SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
		rule_if(f, DENY(EACCES), calls[i], SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
	}
}

static void allow_self(struct filter *f)
{
	static const int asked[] = { PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP, PR_GET_DUMPABLE, PR_GET_PDEATHSIG,
				     PR_CAPBSET_READ,     PR_SET_NAME,    PR_GET_NAME };

	for (size_t i = 0; i < COUNT_OF(asked); i++)
		rule_if(f, SCMP_ACT_ALLOW, "prctl", SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)asked[i]));
	/* abort(3) and assert(3). */
	rule_if(f, SCMP_ACT_ALLOW, "tgkill", SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	/* getrlimit(3); a new limit would be a pointer in the third argument. */
	rule_if(f, SCMP_ACT_ALLOW, "prlimit64", SCMP_A2(SCMP_CMP_EQ, 0));
	rule_if(f, SCMP_ACT_ALLOW, "ioctl", SCMP_A1(SCMP_CMP_EQ, FIONREAD));
	rule_if(f, SCMP_ACT_ALLOW, "ioctl", SCMP_A1(SCMP_CMP_EQ, FIONBIO));
	rule_if(f, SCMP_ACT_ALLOW, "ioctl", SCMP_A1(SCMP_CMP_EQ, TCGETS)); /* isatty(3) */
}

/* Which socket(2) may be made. No bind and no listen: a jailed process serves nobody on a port. */
static void allow_families(struct filter *f, unsigned families)
{
	for (int af = 0; af <= 63; af++) {
		bool wanted = (af == AF_UNIX && families & JAIL_UNIX) ||
			      ((af == AF_INET || af == AF_INET6) && families & JAIL_INET);

		if (af == AF_NETLINK && families & JAIL_NETLINK) {
			struct scmp_arg_cmp route[] = { SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
							SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE) };
			struct scmp_arg_cmp other[] = { SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
							SCMP_A2(SCMP_CMP_NE, NETLINK_ROUTE) };

			rule(f, SCMP_ACT_ALLOW, "socket", route, COUNT_OF(route));
			rule(f, DENY(EPROTONOSUPPORT), "socket", other, COUNT_OF(other));
			continue;
		}
		rule_if(f, wanted ? SCMP_ACT_ALLOW : DENY(EAFNOSUPPORT), "socket",
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)af));
	}
	rule_if(f, DENY(EAFNOSUPPORT), "socket", SCMP_A0(SCMP_CMP_GT, 63));
	rule_if(f, SCMP_ACT_ALLOW, "socketpair", SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if (families & JAIL_NETLINK && !(families & JAIL_INET))
		rule(f, SCMP_ACT_ALLOW, "bind", NULL, 0);
}

/* A line that was unplugged is opened again: what exists may be opened, nothing made. */
static void allow_lines(struct filter *f)
{
	static const scmp_datum_t making = O_CREAT | O_TRUNC | O_TMPFILE;

	rule_if(f, SCMP_ACT_ALLOW, "open", SCMP_A1(SCMP_CMP_MASKED_EQ, making, 0));
	rule_if(f, SCMP_ACT_ALLOW, "openat", SCMP_A2(SCMP_CMP_MASKED_EQ, making, 0));
	rule(f, SCMP_ACT_ALLOW, "flock", NULL, 0);
	for (size_t i = 0; i < COUNT_OF(line_ioctls); i++)
		rule_if(f, SCMP_ACT_ALLOW, "ioctl", SCMP_A1(SCMP_CMP_EQ, line_ioctls[i]));
}

/* Libraries look for a file now and then (a time zone, a locale, a number of processors) and do without it. */
static void refuse_files(struct filter *f)
{
	static const char *const calls[] = { "open", "openat", "access", "faccessat", "faccessat2", "readlink",
					     "readlinkat" };

	for (size_t i = 0; i < COUNT_OF(calls); i++)
		rule(f, DENY(EACCES), calls[i], NULL, 0);
}

int filter_load(const struct jail_spec *spec, struct err *e)
{
	struct filter f = { .ctx = seccomp_init(SCMP_ACT_KILL_PROCESS) };

	if (!f.ctx)
		return err_set(e, ERR_IO, ENOMEM, "cannot make a system call filter");
	seccomp_attr_set(f.ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	seccomp_attr_set(f.ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
#ifdef __SANITIZE_ADDRESS__
	allow_all(&f, sanitizer, COUNT_OF(sanitizer));
#endif
	allow_all(&f, always, COUNT_OF(always));
	allow_memory(&f);
	allow_self(&f);
	allow_families(&f, spec->families);
	if (spec->needs & JAIL_FILES)
		allow_all(&f, files, COUNT_OF(files));
	if (spec->needs & JAIL_TTY)
		allow_lines(&f);
	if (!(spec->needs & (JAIL_FILES | JAIL_TTY)))
		refuse_files(&f);
	if (!f.failed)
		f.failed = seccomp_load(f.ctx);
	seccomp_release(f.ctx);
	if (f.failed)
		return err_set(e, ERR_IO, -f.failed, "cannot load the system call filter");
	return 0;
}
