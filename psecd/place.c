/* place: where a site's things are and who may touch them. All that needs root happens here, before a child runs. */
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/ctl.h"

const char *const child_names[CHILDREN] = { "psecd-core", "psecd-field" };
static const char *const child_users[CHILDREN] = { "psec-core", "psec-field" };

int place_read(struct place *p, const char *dir, struct err *e)
{
	struct diag_sink sink = { .fn = log_diag };

	p->lock_fd = p->state_fd = p->listen_fd = -1;
	for (int i = 0; i < CHILDREN; i++)
		p->start_fd[i] = -1;
	str_copy(p->start.build, sizeof(p->start.build), wire_build());
	p->start.owner = getuid();
	if (site_paths_of(dir, &p->start.paths, e) < 0)
		return -1;
	return site_read(p->start.paths.file, &p->start.site, &sink, e);
}

static bool try_program(struct place *p, int child, const char *folder)
{
	int n = snprintf(p->program[child], sizeof(p->program[child]), "%s/%s", folder, child_names[child]);

	return n > 0 && (size_t)n < sizeof(p->program[child]) && access(p->program[child], X_OK) == 0;
}

int place_find_programs(struct place *p, struct err *e)
{
	const char *given = getenv("PSEC_LIBEXEC");
	char self[256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	if (strrchr(self, '/'))
		*strrchr(self, '/') = '\0';
	for (int i = 0; i < CHILDREN; i++) {
		if (given ? try_program(p, i, given) : try_program(p, i, self) || try_program(p, i, PSEC_LIBEXEC))
			continue;
		return err_set(e, ERR_IO, 0, "cannot find '%s' in %s", child_names[i], given ? given : PSEC_LIBEXEC);
	}
	return 0;
}

/* ---- the lock: one psecd a site ---- */

/* The children hold it too, so that a new psecd never meets a field that is still on its way to the safe set-point. */

static const char stopping[] = " stopping";

static int64_t lock_holder(int fd, bool *stops)
{
	char text[40];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	int64_t pid = 0;

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	*stops = strstr(text, stopping) != NULL;
	text[strcspn(text, " ")] = '\0';
	return parse_int(text, 1, INT32_MAX, &pid) ? pid : 0;
}

/* The lock holds without the words, and a full disk must not keep psecd from starting or stopping. */
static int write_holder(int fd, const char *words)
{
	char text[40];

	snprintf(text, sizeof(text), "%d%s\n", (int)getpid(), words);
	if (ftruncate(fd, 0) < 0)
		return -1;
	return pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text) || errno == ENOSPC ? 0 : -1;
}

void place_say_stopping(const struct place *p)
{
	if (write_holder(p->lock_fd, stopping) < 0)
		log_line(LOG_WARNING, "cannot say in '%s' that we stop: %s", p->start.paths.run, strerror(errno));
}

/* 1: wait on; -1: what is said in *e. */
static int judge_holder(const struct place *p, int fd, bool patient, struct err *e)
{
	bool stops;
	int64_t pid = lock_holder(fd, &stops);
	bool lives = pid && (kill((pid_t)pid, 0) == 0 || errno == EPERM);

	/* Stopping, or its psecd was killed: the children notice and end within seconds. */
	if (patient && pid && (stops || !lives))
		return 1;
	if (stops || (pid && !lives))
		return err_set(e, ERR_AGAIN, 0,
			       "psecd with pid %d is still stopping on this site '%s'; try again in some seconds",
			       (int)pid, p->start.paths.dir);
	if (!pid) /* its disk was full */
		return err_set(e, ERR_AGAIN, 0, "another psecd already runs this site '%s'; stop it first",
			       p->start.paths.dir);
	return err_set(e, ERR_AGAIN, 0, "psecd with pid %d already runs this site '%s'; stop it first", (int)pid,
		       p->start.paths.dir);
}

static int take_lock(struct place *p, struct err *e)
{
	enum { PATIENCE_MS = 8000, STEP_MS = 20 };
	char path[320];
	struct stat st;
	auto_close int fd = -1;

	snprintf(path, sizeof(path), "%s/psecd.lock", p->start.paths.run);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return err_set(e, ERR_IO, errno, "cannot open '%s'%s", path,
			       errno == ENOSPC	 ? "; make room on this disk"
			       : errno == EACCES ? "; start psecd as root or as who owns that folder"
						 : "");
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_REFUSED, 0, "'%s' is not a regular file; take it away first", path);
	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited_ms += STEP_MS) {
		if (errno != EWOULDBLOCK)
			return err_set(e, ERR_IO, errno, "cannot lock '%s'", path);
		if (judge_holder(p, fd, waited_ms < PATIENCE_MS, e) < 0)
			return -1;
		if (waited_ms == 0)
			log_line(LOG_NOTICE, "waiting for the psecd before to end");
		usleep(STEP_MS * 1000);
	}
	if (write_holder(fd, "") < 0)
		return err_set(e, ERR_IO, errno, "cannot write '%s'", path);
	p->lock_fd = take_fd(&fd);
	return 0;
}

/* ---- users ---- */

static int choose_users(struct place *p, struct err *e)
{
	bool both = true;

	if (geteuid() != 0)
		return 0;
	for (int i = 0; i < CHILDREN; i++)
		both &= getpwnam(child_users[i]) != NULL;
	if (!both) {
		if (!getpwnam("nobody"))
			return err_set(e, ERR_REFUSED, 0,
				       "there is no user psec-core, psec-field or nobody for the children");
		str_copy(p->missing, sizeof(p->missing),
			 "users psec-core and psec-field do not exist: both children are nobody and not protected from "
			 "each other");
	}
	for (int i = 0; i < CHILDREN; i++)
		str_copy(p->user[i], sizeof(p->user[i]), both ? child_users[i] : "nobody");
	return 0;
}

/* Files that an earlier start made under another user. A core that was taken over can write this folder, so nothing
 * here may be a link, and only a file with one name is handed over. */
static int hand_over(int dir, const char *name, const struct passwd *pw, struct err *e)
{
	auto_close int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT
			       ? 0
			       : err_set(e, ERR_REFUSED, errno, "cannot look at '%s' in the state folder", name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
		return err_set(e, ERR_REFUSED, 0, "'%s' in the state folder is not a plain file", name);
	if (st.st_uid != pw->pw_uid && fchown(fd, pw->pw_uid, pw->pw_gid) < 0)
		return err_set(e, ERR_IO, errno, "cannot give '%s' to %s", name, pw->pw_name);
	return 0;
}

/* The core may make files there, and end its own. What root keeps there (tpm, secrets) it cannot put something else in
 * the place of: for that the folder would have to be its own, or not sticky. */
static int hand_over_folder(int dir, const char *path, const struct passwd *pw, struct err *e)
{
	struct stat st;

	if (fstat(dir, &st) < 0 || fchown(dir, 0, pw->pw_gid) < 0 || fchmod(dir, (st.st_mode & 0777) | 01070) < 0)
		return err_set(e, ERR_IO, errno, "cannot give '%s' to %s", path, pw->pw_name);
	return 0;
}

static int open_state(struct place *p, struct err *e)
{
	static const char *const files[] = { "psec.db", "psec.db-wal", "psec.db-shm", "psec.db-lock",
					     "psec.db-suspect" };
	const struct passwd *pw;
	struct stat st;

	if (dir_make(p->start.paths.state, 0750, e) < 0)
		return -1;
	p->state_fd = open(p->start.paths.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (p->state_fd < 0 && lstat(p->start.paths.state, &st) == 0 && S_ISLNK(st.st_mode))
		return err_set(e, ERR_REFUSED, 0,
			       "'%s' is a symbolic link, and what it leads to would be given to psecd-core; make it a "
			       "folder, and mount another disk on it (mount --bind)", p->start.paths.state);
	if (p->state_fd < 0)
		return err_set(e, ERR_IO, errno, "cannot open '%s'", p->start.paths.state);
	if (!p->user[CORE][0])
		return 0;
	pw = getpwnam(p->user[CORE]);
	if (!pw)
		return err_set(e, ERR_IO, 0, "cannot give '%s' to %s: there is no such user", p->start.paths.state,
			       p->user[CORE]);
	if (hand_over_folder(p->state_fd, p->start.paths.state, pw, e) < 0)
		return -1;
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		if (hand_over(p->state_fd, files[i], pw, e) < 0)
			return -1;
	}
	return 0;
}

int place_seal(const struct place *p, int child, int *fd, struct err *e)
{
	auto_close int mem = memfd_create("psec-site", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t user_at = offsetof(struct wire_start, user);

	if (mem < 0 || fd_write_all(mem, &p->start, sizeof(p->start), e) < 0 ||
	    pwrite(mem, p->user[child], sizeof(p->start.user), (off_t)user_at) != (ssize_t)sizeof(p->start.user) ||
	    fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return err_set(e, ERR_IO, errno, "cannot seal the site for %s", child_names[child]);
	*fd = take_fd(&mem);
	return 0;
}

int place_open(struct place *p, struct err *e)
{
	if (dir_make(p->start.paths.run, 0755, e) < 0 || take_lock(p, e) < 0 || choose_users(p, e) < 0 ||
	    open_state(p, e) < 0)
		return -1;
	/* Who may do what is asked of the kernel a connection (SO_PEERCRED), not of the file's mode. */
	if (ctl_listen(p->start.paths.socket, 0666, &p->listen_fd, e) < 0)
		return -1;
	for (int i = 0; i < CHILDREN; i++) {
		if (place_seal(p, i, &p->start_fd[i], e) < 0)
			return -1;
	}
	return 0;
}

void place_close(struct place *p)
{
	if (p->listen_fd >= 0) {
		unlink(p->start.paths.socket);
		close(p->listen_fd);
	}
	for (int i = 0; i < CHILDREN; i++) {
		if (p->start_fd[i] >= 0)
			close(p->start_fd[i]);
	}
	if (p->state_fd >= 0)
		close(p->state_fd);
	if (p->lock_fd >= 0)
		close(p->lock_fd);
}
