/* Names of users and groups come from /etc/passwd and /etc/group themselves: the daemon loads no name service. */
#include "right/right.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>

static const char *const names[] = { "none", "viewer", "operator", "technician", "site-admin", "fleet-admin" };

const char *right_name(enum right r)
{
	return (size_t)r < COUNT_OF(names) ? names[r] : names[RIGHT_NONE];
}

static bool parse_right(const char *name, enum right *out)
{
	for (size_t i = RIGHT_VIEWER; i < COUNT_OF(names); i++)
		if (str_eq(name, names[i])) {
			*out = (enum right)i;
			return true;
		}
	return false;
}

/* The user's name into to; false when the file does not know it. */
static bool find_user(uid_t uid, char *to, size_t n)
{
	auto_fclose FILE *f = fopen("/etc/passwd", "re");
	struct passwd entry, *got;
	char line[4096];

	while (f && fgetpwent_r(f, &entry, line, sizeof line, &got) == 0)
		if (got->pw_uid == uid)
			return str_copy(to, n, got->pw_name);
	return false;
}

/* user is "" where the file does not know it. */
static char *name_of(uid_t uid, char user[48], char to[RIGHT_USER])
{
	if (find_user(uid, user, 48)) {
		snprintf(to, RIGHT_USER, "unix:%s", user);
	} else {
		user[0] = '\0';
		snprintf(to, RIGHT_USER, "unix:%u", (unsigned)uid);
	}
	return to;
}

char *right_user(uid_t uid, char to[RIGHT_USER])
{
	char user[48];

	return name_of(uid, user, to);
}

static bool find_group(const char *name, gid_t *gid)
{
	auto_fclose FILE *f = fopen("/etc/group", "re");
	size_t size = 1 << 16; /* a line with many members */
	auto_free char *line = xcalloc(size, 1);
	struct group entry, *got;

	while (f && fgetgrent_r(f, &entry, line, size, &got) == 0)
		if (str_eq(got->gr_name, name)) {
			*gid = got->gr_gid;
			return true;
		}
	return false;
}

/* All supplementary groups of the peer, as the kernel had them when it connected. Caller frees. */
static int peer_groups(int fd, gid_t **out, size_t *count, struct err *e)
{
	socklen_t len = 64 * sizeof **out;
	auto_free gid_t *groups = xcalloc(1, len);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0) {
		/* more than 64: the kernel has put the length that it needs into len, at most NGROUPS_MAX */
		if (errno != ERANGE)
			return err_set(e, ERR_IO, errno, "cannot tell the groups of who is calling");
		groups = xrealloc(groups, len, 1);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
			return err_set(e, ERR_IO, errno, "cannot tell the groups of who is calling");
	}
	*count = len / sizeof **out;
	*out = take(groups);
	return 0;
}

static bool is_member(gid_t gid, gid_t primary, const gid_t *groups, size_t count)
{
	if (gid == primary)
		return true;
	for (size_t i = 0; i < count; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* The highest right of the entries that name the caller. */
static enum right judge(const struct site *site, const char *user, gid_t primary, const gid_t *groups, size_t count)
{
	enum right best = RIGHT_NONE, given;
	gid_t gid;

	for (size_t i = 0; i < site->access_count; i++) {
		const struct site_access *a = &site->access[i];
		bool named = *a->user ? *user && str_eq(a->user, user)
				      : *a->group && find_group(a->group, &gid) &&
						is_member(gid, primary, groups, count);

		if (named && parse_right(a->right, &given) && given > best)
			best = given;
	}
	return best;
}

int right_of_peer(int fd, const struct site *site, uid_t owner, struct right_caller *out, struct err *e)
{
	struct ucred cred;
	socklen_t len = sizeof cred;
	auto_free gid_t *groups = NULL;
	char user[48] = "";
	size_t count = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return err_set(e, ERR_IO, errno, "cannot tell who is calling");
	if (peer_groups(fd, &groups, &count, e) < 0)
		return -1;
	*out = (struct right_caller){ .uid = cred.uid, .gid = cred.gid };
	out->group_count = count < COUNT_OF(out->groups) ? count : COUNT_OF(out->groups);
	memcpy(out->groups, groups, out->group_count * sizeof *groups);
	name_of(cred.uid, user, out->name);
	out->right = cred.uid == 0 || cred.uid == owner ? RIGHT_SITE_ADMIN : judge(site, user, cred.gid, groups, count);
	return 0;
}

int right_require(const struct right_caller *caller, enum right least, const char *act, struct err *e)
{
	if (caller->right >= least)
		return 0;
	if (caller->right == RIGHT_NONE)
		return err_set(e, ERR_REFUSED, 0,
			       "cannot %s: %s is needed, %s has no right on this site; see access in site.yaml", act,
			       right_name(least), caller->name);
	return err_set(e, ERR_REFUSED, 0, "cannot %s: %s is needed, %s is %s; see access in site.yaml", act,
		       right_name(least), caller->name, right_name(caller->right));
}
