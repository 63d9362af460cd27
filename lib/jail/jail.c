#include "jail/jail.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filter.h"

enum { SECCOMP_FILTERED = 2 }; /* prctl(2), PR_GET_SECCOMP */

/* Capabilities belong to a thread: one that runs already would keep what it has. */
static int check_alone(struct err *e)
{
	struct stat st;

	if (stat("/proc/self/task", &st) == 0 && st.st_nlink > 3)
		return err_set(e, ERR_BUG, 0, "cannot enter the jail: threads are running");
	return 0;
}

/* So that nothing executed later could have a capability again. It needs CAP_SETPCAP, hence root, and goes first. */
static int drop_bounding(bool *dropped, struct err *e)
{
	*dropped = true;
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno != EPERM)
			return err_set(e, ERR_IO, errno, "cannot drop capability %lu", cap);
		*dropped = false;
		return 0;
	}
	return 0;
}

static int become(const char *user, struct passwd *who, struct err *e)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (!pw)
		return err_set(e, ERR_INPUT, errno, "there is no user '%s'", user);
	*who = *pw;
	if (initgroups(user, who->pw_gid) < 0 || setresgid(who->pw_gid, who->pw_gid, who->pw_gid) < 0 ||
	    setresuid(who->pw_uid, who->pw_uid, who->pw_uid) < 0)
		return err_set(e, ERR_IO, errno, "cannot become user '%s'", user);
	return 0;
}

static int drop_capabilities(struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	/* EINVAL: a kernel without ambient capabilities. */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return err_set(e, ERR_IO, errno, "cannot drop ambient capabilities");
	if (syscall(SYS_capset, &head, none) < 0)
		return err_set(e, ERR_IO, errno, "cannot drop capabilities");
	return 0;
}

/* The kernel forgets "die with the parent" when the user changes. */
static int keep_following(int signo, pid_t parent, struct err *e)
{
	if (prctl(PR_SET_PDEATHSIG, signo, 0, 0, 0) < 0)
		return err_set(e, ERR_IO, errno, "cannot follow the parent");
	if (signo && getppid() != parent)
		return err_set(e, ERR_INTERRUPTED, 0, "the parent has ended");
	return 0;
}

static int forbid_dumps_and_privileges(struct err *e)
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return err_set(e, ERR_IO, errno, "cannot forbid core dumps");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, ERR_IO, errno, "cannot forbid new privileges");
	return 0;
}

static bool has_capability(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, set) < 0)
		return true;
	for (size_t i = 0; i < COUNT_OF(set); i++)
		if (set[i].effective | set[i].permitted | set[i].inheritable)
			return true;
	return false;
}

/* who NULL: the user did not change. */
static int verify(const struct passwd *who, bool bounding_dropped, struct err *e)
{
	uid_t r, eff, s;
	gid_t rg, eg, sg;
	const char *what = NULL;

	if (has_capability())
		what = "capabilities";
	if (bounding_dropped)
		for (unsigned long cap = 0, has = 0; (has = (unsigned long)prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) <= 1;
		     cap++)
			if (has)
				what = "the capability bounding set";
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		what = "new privileges";
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		what = "core dumps";
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_FILTERED)
		what = "system calls";
	if (who &&
	    (getresuid(&r, &eff, &s) < 0 || getresgid(&rg, &eg, &sg) < 0 || r != who->pw_uid || eff != who->pw_uid ||
	     s != who->pw_uid || rg != who->pw_gid || eg != who->pw_gid || sg != who->pw_gid))
		what = "the old user";
	return what ? err_set(e, ERR_BUG, 0, "the jail still has %s", what) : 0;
}

int jail_enter(const struct jail_spec *spec, char missing[160], struct err *e)
{
	bool root = geteuid() == 0, bounding_dropped;
	bool change = root && spec->user;
	pid_t parent = getppid();
	struct passwd who;
	int follow = 0;

	missing[0] = '\0';
	prctl(PR_GET_PDEATHSIG, &follow, 0, 0, 0);
	if (check_alone(e) < 0 || drop_bounding(&bounding_dropped, e) < 0)
		return -1;
	if (change && become(spec->user, &who, e) < 0)
		return -1;
	if (drop_capabilities(e) < 0 || keep_following(follow, parent, e) < 0 || forbid_dumps_and_privileges(e) < 0 ||
	    filter_load(spec, e) < 0 || verify(change ? &who : NULL, bounding_dropped, e) < 0)
		return -1;
	if (!root)
		str_copy(missing, 160,
			 "not started as root: one user for all processes, no empty capability bounding set");
	else if (!bounding_dropped)
		str_copy(missing, 160, "no right to empty the capability bounding set");
	return 0;
}
