/* lock: one transaction at a time on a TPM, between all processes that are ours.
 *
 * /dev/tpmrm0 is locked itself, so that whoever may use it may lock it and nothing else is needed. /dev/tpm0 opens once
 * only, and other TCTIs have no file: they get a lock file. All may read and write it, so that the users who share it
 * need no common group: account.c keeps there what is loaded. One that we may only read is a lock all the same. It is
 * opened without O_CREAT, because fs.protected_regular forbids that on another's file in a sticky folder, and made
 * under another name, so that nobody meets it before all may use it.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STEP_US = 5000 };

const char *tpm_device(const char *tcti)
{
	if (str_eq(tcti, "device"))
		return "/dev/tpmrm0";
	if (str_starts(tcti, "device:"))
		return tcti + strlen("device:");
	return tcti[0] == '/' ? tcti : NULL;
}

bool tpm_device_managed(const char *device)
{
	const char *base = strrchr(device, '/');

	return str_starts(base ? base + 1 : device, "tpmrm");
}

static int no_device(const char *device, struct err *e)
{
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return err_set(e, ERR_UNREACHABLE, errno, "there is no TPM at '%s'; switch it on in the firmware, load its "
			       "driver, or name another by tpm.tcti", device);
	if (errno == EACCES || errno == EPERM)
		return err_set(e, ERR_REFUSED, errno, "you may not use the TPM at '%s'; become root or join the group tss",
			       device);
	return err_set(e, ERR_UNREACHABLE, errno, "cannot open the TPM at '%s'", device);
}

static int open_device(const char *device, int *fd, struct err *e)
{
	struct stat s;

	*fd = open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return no_device(device, e);
	if (fstat(*fd, &s) || !S_ISCHR(s.st_mode)) {
		close(*fd);
		return err_set(e, ERR_INPUT, 0, "'%s' is not a device; a TPM is /dev/tpmrm0", device);
	}
	return 0;
}

static char *file_of(const char *tcti)
{
	uint8_t hash[CRYPTO_HASH];
	char hex[CRYPTO_HEX];
	const mode_t open_to_all = S_ISVTX | S_IWOTH;
	struct stat s;
	bool run_lock = stat("/run/lock", &s) == 0 && S_ISDIR(s.st_mode) && (s.st_mode & open_to_all) == open_to_all;

	crypto_sha256(tcti, strlen(tcti), hash);
	crypto_hex(hash, sizeof hash, hex, sizeof hex);
	/* the same one for every user: where only some may make files, it is the other */
	return xasprintf("%s/psec-tpm-%.32s", run_lock ? "/run/lock" : "/tmp", hex);
}

static int make_file(const char *path)
{
	auto_free char *name = xasprintf("%s.XXXXXX", path);
	auto_close int fd = mkostemp(name, O_CLOEXEC);
	int failed;

	if (fd < 0)
		return -1;
	failed = fchmod(fd, 0666) || link(name, path) ? errno : 0;
	unlink(name);
	errno = failed;
	return failed ? -1 : take_fd(&fd);
}

static int open_file(const char *path, int *fd, struct err *e)
{
	const int how = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	struct stat s;

	*fd = open(path, O_RDWR | how);
	if (*fd < 0 && (errno == EACCES || errno == EROFS))
		*fd = open(path, O_RDONLY | how);
	if (*fd < 0 && errno == ENOENT)
		*fd = make_file(path);
	if (*fd < 0)
		return err_set(e, ERR_IO, errno, "cannot open the TPM's lock '%s'", path);
	if (fstat(*fd, &s) || !S_ISREG(s.st_mode)) {
		close(*fd);
		return err_set(e, ERR_REFUSED, 0, "the TPM's lock '%s' is not a regular file; remove it", path);
	}
	return 0;
}

static bool rest(void)
{
	return nanosleep(&(struct timespec){.tv_nsec = STEP_US * 1000}, NULL) == 0;
}

int tpm_lock(const char *tcti, int wait_ms, int *out, struct err *e)
{
	const char *device = tpm_device(tcti);
	bool itself = device && tpm_device_managed(device);
	auto_free char *file = itself ? NULL : file_of(tcti);
	int64_t until = now_read().boot_us + (int64_t)wait_ms * US_PER_MS;
	auto_close int fd = -1;

	while (fd < 0) {
		if (!(itself ? open_device(device, &fd, e) : open_file(file, &fd, e)))
			break;
		if (itself || e->errnum != EEXIST || now_read().boot_us >= until)
			return -1; /* EEXIST: another made it first */
	}
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_set(e, ERR_IO, errno, "cannot lock the TPM by '%s'", itself ? device : file);
		if (now_read().boot_us >= until)
			return err_set(e, ERR_AGAIN, 0, "the TPM is in use: waited %d ms for the lock '%s'; try again, and see who "
				       "holds it with: lslocks", wait_ms, itself ? device : file);
		if (!rest())
			return err_set(e, ERR_INTERRUPTED, EINTR, "interrupted while another has the TPM");
	}
	*out = take_fd(&fd);
	return 0;
}
