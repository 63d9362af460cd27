/* Faults are found in the schema's order and told in the file's. */
#include "faults.h"

static void collect(void *arg, const struct diag *d)
{
	struct faults *f = arg;

	f->list = xrealloc(f->list, (size_t)f->count + 1, sizeof *f->list);
	f->list[f->count++] = (struct fault){
		.line = d->line, .order = f->count, .path = xstrdup(d->path), .text = xstrdup(d->text),
	};
}

static int by_line(const void *a, const void *b)
{
	const struct fault *x = a, *y = b;

	return x->line != y->line ? (x->line > y->line) - (x->line < y->line) : x->order - y->order;
}

void faults_begin(struct faults *f, struct diag_sink *sink)
{
	*f = (struct faults){ 0 };
	*sink = (struct diag_sink){ collect, f, 0 };
}

void faults_end(struct faults *f, const char *file, struct diag_sink *to)
{
	if (f->count)
		qsort(f->list, (size_t)f->count, sizeof *f->list, by_line);
	for (int i = 0; i < f->count; i++) {
		if (to)
			diag_report(to, file, f->list[i].line, f->list[i].path, "%s", f->list[i].text);
		free(f->list[i].path);
		free(f->list[i].text);
	}
	free(f->list);
}
