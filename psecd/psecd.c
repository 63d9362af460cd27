/* psecd: the supervisor. Reads the site once, opens what needs rights, starts core and field, restarts what dies,
 * and on the way out lets the field bring the devices to their safe set-point first. It speaks to no device, no
 * client and no file after that. */
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "supervise.h"

static const char help[] =
	"psecd runs a site: it polls the devices, controls the battery and answers psec.\n"
	"\n"
	"Usage: psecd [-C DIR] [-n]\n"
	"\n"
	"  -C, --directory DIR   the site's directory; else $PSEC_SITE, else /etc/psec\n"
	"  -n, --check           check site.yaml and its profiles, and exit: 0 good, 65 not\n"
	"  -h, --help            this text\n"
	"  -V, --version         the version\n"
	"\n"
	"It stays in the foreground and writes to stderr. Stop it with SIGTERM: the devices\n"
	"go to their safe set-point first. See psecd(8).\n";

struct options {
	const char *dir;
	bool check;
};

static int say_and_exit(const char *text)
{
	fputs(text, stdout);
	return fflush(stdout) == 0 ? 0 : err_exit_status(ERR_IO);
}

/* -1: go on; otherwise the exit status. */
static int parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];

		if (str_eq(a, "-h") || str_eq(a, "--help"))
			return say_and_exit(help);
		if (str_eq(a, "-V") || str_eq(a, "--version"))
			return say_and_exit("psecd " PSEC_VERSION "\n");
		if (str_eq(a, "-n") || str_eq(a, "--check")) {
			o->check = true;
		} else if ((str_eq(a, "-C") || str_eq(a, "--directory")) && i + 1 < argc && argv[i + 1][0]) {
			o->dir = argv[++i];
		} else if (str_starts(a, "--directory=") && a[strlen("--directory=")]) {
			o->dir = a + strlen("--directory=");
		} else {
			log_line(LOG_ERROR, "'%s' is not an option or lacks its value; see psecd --help", a);
			return err_exit_status(ERR_USAGE);
		}
	}
	return -1;
}

static void stop_asked(void *arg, int signo)
{
	log_line(LOG_NOTICE, "stopping (%s)", strsignal(signo));
	staff_stop(arg);
}

static int supervise(struct place *p, enum err_kind *verdict, struct err *e)
{
	static const int stop[] = { SIGTERM, SIGINT, SIGHUP };
	struct loop *loop;
	struct staff *staff = NULL;
	int result = -1;

	if (loop_new(&loop, e) < 0)
		return -1;
	if (staff_new(loop, p, &staff, e) < 0)
		goto out;
	for (size_t i = 0; i < COUNT_OF(stop); i++) {
		if (loop_add_signal(loop, stop[i], stop_asked, staff, e) < 0)
			goto out;
	}
	if (staff_start(staff, e) < 0 || loop_run(loop, e) < 0)
		goto out;
	*verdict = staff_verdict(staff);
	result = 0;
out:
	staff_free(staff);
	loop_free(loop);
	return result;
}

int main(int argc, char **argv)
{
	static struct place place; /* some 30 KiB */
	struct options o = { 0 };
	enum err_kind verdict = ERR_NONE;
	struct err e;
	int status, result;

	log_init("psecd", LOG_INFO);
	status = parse(argc, argv, &o);
	if (status >= 0)
		return status;
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	result = place_read(&place, o.dir, &e);
	if (result == 0)
		result = place_find_programs(&place, &e);
	if (result == 0 && o.check)
		result = staff_check(&place, &e);
	else if (result == 0 && (result = place_open(&place, &e)) == 0)
		result = supervise(&place, &verdict, &e);
	place_close(&place);
	if (result == 0)
		return err_exit_status(verdict);
	log_line(LOG_ERROR, "%s", e.text);
	return err_exit_status(e.kind);
}
