/* In a network namespace of its own, made by this process: no packet leaves, no interface of the machine is touched. */
#include "host/host.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool have_namespace;

static void write_file(const char *path, const char *text)
{
	auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);
	struct err ignored;

	if (fd >= 0)
		(void)!fd_write_all(fd, text, strlen(text), &ignored);
}

static int make_namespace(void **state)
{
	auto_free char *uids = xasprintf("0 %d 1", (int)getuid()), *gids = xasprintf("0 %d 1", (int)getgid());

	(void)state;
	if (getuid() == 0) {
		have_namespace = unshare(CLONE_NEWNET) == 0;
	} else if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
		write_file("/proc/self/setgroups", "deny");
		write_file("/proc/self/uid_map", uids);
		write_file("/proc/self/gid_map", gids);
		have_namespace = true;
	}
	/* p0 -- p1 stands for a cable between two ports; o0 is an OT port with nothing plugged in. */
	have_namespace = have_namespace &&
			 system("exec 2>/dev/null; ip link set lo up && ip link add p0 type veth peer name p1 &&"
				"ip addr add 192.168.1.20/24 dev p0 && ip link set p0 up && ip link set p1 up &&"
				"ip link add o0 type veth peer name o1 && ip addr add 10.7.0.1/16 dev o0 && ip link set o0 up &&"
				"ip link add d0 type veth peer name d1 && ip addr add 10.8.0.1/16 dev d0") == 0;
	return 0;
}

static struct host_link link_to(const char *address)
{
	struct host_link l;
	struct in_addr a;
	struct err e = { 0 };

	if (!have_namespace)
		skip();
	assert_int_equal(inet_pton(AF_INET, address, &a), 1);
	if (host_link_to(&a, &l, &e))
		fail_msg("%s", e.text);
	return l;
}

static void an_address_on_the_own_subnet_is_direct(void **state)
{
	struct host_link l = link_to("192.168.1.77");

	(void)state;
	assert_string_equal(l.name, "p0");
	assert_string_equal(l.own, "192.168.1.20/24");
	assert_true(l.up && l.carrier && l.direct && l.routed);
}

static void loopback_is_direct(void **state)
{
	struct host_link l = link_to("127.3.4.5");

	(void)state;
	assert_string_equal(l.name, "lo");
	assert_true(l.up && l.carrier && l.direct && l.routed);
}

static void a_port_without_a_cable_has_no_carrier(void **state)
{
	struct host_link l = link_to("10.7.1.1");

	(void)state;
	assert_string_equal(l.name, "o0");
	assert_true(l.up && !l.carrier && l.direct);
}

static void a_port_that_is_down_is_named(void **state)
{
	struct host_link l = link_to("10.8.1.1");

	(void)state;
	assert_string_equal(l.name, "d0");
	assert_true(!l.up && !l.carrier && l.direct && !l.routed);
}

static void another_subnet_has_no_route(void **state)
{
	struct host_link l = link_to("192.168.2.77");

	(void)state;
	assert_string_equal(l.name, "");
	assert_true(!l.routed && !l.direct);
}

static void a_gateway_is_a_route_and_not_direct(void **state)
{
	struct host_link l;

	(void)state;
	if (have_namespace)
		assert_int_equal(system("ip route add 172.16.0.0/12 via 192.168.1.1"), 0);
	l = link_to("172.16.1.1");
	assert_string_equal(l.name, "p0");
	assert_string_equal(l.own, "192.168.1.20/24");
	assert_true(l.routed && !l.direct && l.carrier);
}

static void the_smaller_subnet_wins(void **state)
{
	struct host_link l;

	(void)state;
	if (have_namespace)
		assert_int_equal(system("ip addr add 10.7.9.1/24 dev p0 label p0:ot"), 0);
	l = link_to("10.7.9.5");
	assert_string_equal(l.name, "p0");
	assert_string_equal(l.own, "10.7.9.1/24");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_on_the_own_subnet_is_direct),
		cmocka_unit_test(loopback_is_direct),
		cmocka_unit_test(a_port_without_a_cable_has_no_carrier),
		cmocka_unit_test(a_port_that_is_down_is_named),
		cmocka_unit_test(another_subnet_has_no_route),
		cmocka_unit_test(a_gateway_is_a_route_and_not_direct),
		cmocka_unit_test(the_smaller_subnet_wins),
	};

	return cmocka_run_group_tests(tests, make_namespace, NULL);
}
