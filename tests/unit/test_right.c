/* right: peers as root, as the owner, as users and members of groups of this machine; with root, by changing over to them. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "right/right.h"
#include "unit.h"

/* Users and groups that every Debian has. */
enum { DAEMON = 1, NOT_THE_OWNER = 4000000 };

static void give(struct site *s, const char *user, const char *group, const char *right)
{
	struct site_access *a = &s->access[s->access_count++];

	str_copy(a->user, sizeof a->user, user);
	str_copy(a->group, sizeof a->group, group);
	str_copy(a->right, sizeof a->right, right);
}

/* The judgement of a connection made by a process of that uid, gid and those supplementary groups. */
static void peer_of(uid_t uid, gid_t gid, const gid_t *groups, size_t count, const struct site *s, uid_t owner,
		    struct right_caller *out)
{
	char dir[] = "/tmp/psec-right-XXXXXX";
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), peer, status;
	struct err e;
	pid_t child;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	snprintf(a.sun_path, sizeof a.sun_path, "%s/s", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(chmod(a.sun_path, 0666), 0);
	assert_int_equal(listen(fd, 1), 0);
	child = fork();
	if (!child) {
		int c = socket(AF_UNIX, SOCK_STREAM, 0);
		char byte;
		bool became = geteuid() != 0 || (setgroups(count, groups) == 0 && setgid(gid) == 0 && setuid(uid) == 0);

		_exit(became && connect(c, (struct sockaddr *)&a, sizeof a) == 0 && read(c, &byte, 1) == 0 ? 0 : 1);
	}
	peer = accept(fd, NULL, NULL);
	assert_int_equal(right_of_peer(peer, s, owner, out, &e), 0);
	close(peer);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fd);
	unlink(a.sun_path);
	rmdir(dir);
}

static void need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void the_owner_is_site_admin_and_nobody_else_is_anything(void **state)
{
	struct site s = { 0 };
	struct right_caller c;

	(void)state;
	peer_of(geteuid(), getegid(), NULL, 0, &s, geteuid(), &c);
	assert_int_equal(c.uid, geteuid());
	assert_int_equal(c.right, RIGHT_SITE_ADMIN);
	assert_true(str_starts(c.name, "unix:"));
	peer_of(geteuid(), getegid(), NULL, 0, &s, NOT_THE_OWNER, &c);
	assert_int_equal(c.right, geteuid() == 0 ? RIGHT_SITE_ADMIN : RIGHT_NONE);
}

static void my_own_user_and_group_can_be_named(void **state)
{
	const struct passwd *me = getpwuid(geteuid());
	const struct group *mine = getgrgid(getegid());
	struct site by_user = { 0 }, by_group = { 0 };
	struct right_caller c;

	(void)state;
	if (!me || !mine || geteuid() == 0)
		skip();
	give(&by_user, me->pw_name, "", "operator");
	peer_of(geteuid(), getegid(), NULL, 0, &by_user, NOT_THE_OWNER, &c);
	assert_int_equal(c.right, RIGHT_OPERATOR);
	give(&by_group, "", mine->gr_name, "technician");
	peer_of(geteuid(), getegid(), NULL, 0, &by_group, NOT_THE_OWNER, &c);
	assert_int_equal(c.right, RIGHT_TECHNICIAN);
}

static void a_user_gets_what_access_says(void **state)
{
	struct site s = { 0 };
	struct right_caller c;

	(void)state;
	need_root();
	peer_of(DAEMON, DAEMON, NULL, 0, &s, 0, &c);
	assert_int_equal(c.uid, DAEMON);
	assert_string_equal(c.name, "unix:daemon");
	assert_int_equal(c.right, RIGHT_NONE);
	give(&s, "bin", "", "site-admin");
	give(&s, "daemon", "", "viewer");
	peer_of(DAEMON, DAEMON, NULL, 0, &s, 0, &c);
	assert_int_equal(c.right, RIGHT_VIEWER);
	peer_of(DAEMON, DAEMON, NULL, 0, &s, DAEMON, &c);
	assert_int_equal(c.right, RIGHT_SITE_ADMIN);
}

static void who_calls_has_one_name_by_the_socket_and_without_it(void **state)
{
	const struct site s = { 0 };
	struct right_caller c;
	char name[RIGHT_USER];

	(void)state;
	assert_string_equal(right_user(DAEMON, name), "unix:daemon");
	assert_string_equal(right_user(NOT_THE_OWNER, name), "unix:4000000");
	peer_of(geteuid(), getegid(), NULL, 0, &s, geteuid(), &c);
	assert_string_equal(right_user(geteuid(), name), c.name);
}

static void the_higher_of_two_rights_counts(void **state)
{
	struct site s = { 0 };
	struct right_caller c;

	(void)state;
	need_root();
	give(&s, "daemon", "", "technician");
	give(&s, "", "daemon", "viewer");
	peer_of(DAEMON, DAEMON, NULL, 0, &s, 0, &c);
	assert_int_equal(c.right, RIGHT_TECHNICIAN);
}

static void a_supplementary_group_counts_and_a_groups_file_entry_does_not(void **state)
{
	struct site s = { 0 };
	struct right_caller c;
	gid_t adm = 4, groups[100];

	(void)state;
	need_root();
	give(&s, "", "adm", "operator");
	peer_of(DAEMON, DAEMON, NULL, 0, &s, 0, &c);
	assert_int_equal(c.right, RIGHT_NONE);
	peer_of(DAEMON, DAEMON, &adm, 1, &s, 0, &c);
	assert_int_equal(c.right, RIGHT_OPERATOR);
	assert_int_equal(c.group_count, 1);
	/* more groups than the caller's record has room for, adm last */
	for (size_t i = 0; i < COUNT_OF(groups); i++)
		groups[i] = 5000 + (gid_t)i;
	groups[99] = adm;
	peer_of(DAEMON, DAEMON, groups, COUNT_OF(groups), &s, 0, &c);
	assert_int_equal(c.right, RIGHT_OPERATOR);
	assert_int_equal(c.group_count, 64);
}

static void a_uid_without_a_name_is_a_number_and_nobody(void **state)
{
	struct site s = { 0 };
	struct right_caller c;

	(void)state;
	need_root();
	give(&s, "", "nosuchgroup", "site-admin");
	give(&s, "nosuchuser", "", "site-admin");
	give(&s, "", "", "site-admin");
	peer_of(3999999, 3999999, NULL, 0, &s, 0, &c);
	assert_string_equal(c.name, "unix:3999999");
	assert_int_equal(c.right, RIGHT_NONE);
}

static void a_refusal_says_what_is_needed_and_what_is_there(void **state)
{
	struct right_caller c = { .name = "unix:anna", .right = RIGHT_VIEWER };
	struct err e;

	(void)state;
	assert_int_equal(right_require(&c, RIGHT_VIEWER, "see the state", &e), 0);
	assert_int_equal(right_require(&c, RIGHT_OPERATOR, "set the mode", &e), -1);
	assert_int_equal(e.kind, ERR_REFUSED);
	assert_string_equal(e.text, "cannot set the mode: operator is needed, unix:anna is viewer; see access in site.yaml");
	c.right = RIGHT_NONE;
	assert_int_equal(right_require(&c, RIGHT_VIEWER, "see the state", &e), -1);
	assert_string_equal(e.text, "cannot see the state: viewer is needed, unix:anna has no right on this site; see access in site.yaml");
}

static void what_is_not_a_socket_has_no_caller(void **state)
{
	struct site s = { 0 };
	struct right_caller c;
	struct err e;
	int pipe_fds[2];

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(right_of_peer(pipe_fds[0], &s, geteuid(), &c, &e), -1);
	assert_int_equal(e.kind, ERR_IO);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_owner_is_site_admin_and_nobody_else_is_anything),
		cmocka_unit_test(my_own_user_and_group_can_be_named),
		cmocka_unit_test(a_user_gets_what_access_says),
		cmocka_unit_test(who_calls_has_one_name_by_the_socket_and_without_it),
		cmocka_unit_test(the_higher_of_two_rights_counts),
		cmocka_unit_test(a_supplementary_group_counts_and_a_groups_file_entry_does_not),
		cmocka_unit_test(a_uid_without_a_name_is_a_number_and_nobody),
		cmocka_unit_test(a_refusal_says_what_is_needed_and_what_is_there),
		cmocka_unit_test(what_is_not_a_socket_has_no_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
