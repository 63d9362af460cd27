/* Preloaded into a program: a disk on which every flush takes 200 ms longer. Each is counted in the file that SLOWDISK_COUNT
 * names, mapped before the program gives up its rights. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t *flushes;
static int (*real_fsync)(int), (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("SLOWDISK_COUNT");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;

	real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	if (fd < 0 || ftruncate(fd, sizeof *flushes) < 0)
		return;
	flushes = mmap(NULL, sizeof *flushes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (flushes == MAP_FAILED)
		flushes = NULL;
}

static void wait_long(void)
{
	const struct timespec t = { 0, 200000000 };

	if (flushes)
		atomic_fetch_add(flushes, 1);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

int fsync(int fd)
{
	int rc = real_fsync(fd);

	wait_long();
	return rc;
}

int fdatasync(int fd)
{
	int rc = real_fdatasync(fd);

	wait_long();
	return rc;
}
