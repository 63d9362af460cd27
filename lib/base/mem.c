#include "base/base.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Cleanups run on the way out of a failing function: they leave errno as it was. */
void base_free_(void *p)
{
	int saved = errno;

	free(*(void **)p);
	errno = saved;
}

void base_close_(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1; /* the number is soon another's */
	errno = saved;
}

void base_fclose_(FILE **f)
{
	int saved = errno;

	if (*f)
		fclose(*f);
	errno = saved;
}

static void *or_abort(void *p)
{
	static const char words[] = "out of memory\n";

	if (!p) {
		if (write(STDERR_FILENO, words, sizeof words - 1) < 0)
			abort();
		abort();
	}
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	return or_abort(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t n, size_t size)
{
	return or_abort(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return or_abort(strdup(s));
}

char *xasprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return or_abort(s);
}
