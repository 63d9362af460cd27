/* Replay for fuzz targets built by plain gcc:
 *
 *   fuzz_X [FILE|FOLDER]…         each input once; without a word, the kept finds in tests/fuzz/corpus/X
 *   fuzz_X -m ROUNDS SEED [FILE|FOLDER]…   and as many inputs made from them by small changes
 *
 * libFuzzer and AFL++ link the same fuzz_X.c without this file.
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20, INPUTS_MAX = 4096 };

static struct buf inputs[INPUTS_MAX];
static size_t input_count;

static int add_file(const char *path, struct err *e)
{
	if (input_count == INPUTS_MAX)
		return err_set(e, ERR_INPUT, 0, "more than %d inputs", INPUTS_MAX);
	return file_read(path, INPUT_MAX, &inputs[input_count++], e);
}

static int add(const char *path, struct err *e)
{
	struct dirent **names;
	struct stat st;
	int n, rc = 0;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return add_file(path, e);
	n = scandir(path, &names, NULL, alphasort);
	if (n < 0)
		return err_set(e, ERR_IO, 0, "cannot list '%s'", path);
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.' && rc == 0) {
			auto_free char *file = xasprintf("%s/%s", path, names[i]->d_name);

			rc = add_file(file, e);
		}
		free(names[i]);
	}
	free(names);
	return rc;
}

/* One to four changes: a bit, a byte, a piece left out, doubled, or taken from another input. */
static void mutate(struct rng *r, struct buf *b)
{
	for (int n = 1 + (int)(rng_next(r) % 4); n > 0 && b->len; n--) {
		size_t at = rng_next(r) % b->len, len = 1 + rng_next(r) % 16;
		const struct buf *other = &inputs[rng_next(r) % input_count];

		if (len > b->len - at)
			len = b->len - at;
		switch (rng_next(r) % 5) {
		case 0:
			b->data[at] ^= (char)(1 << rng_next(r) % 8);
			break;
		case 1:
			b->data[at] = (char)rng_next(r);
			break;
		case 2:
			memmove(b->data + at, b->data + at + len, b->len - at - len);
			b->len -= len;
			b->data[b->len] = '\0';
			break;
		case 3: {
			auto_free char *piece = xcalloc(len, 1);

			memcpy(piece, b->data + at, len);
			buf_add(b, piece, len);
			break;
		}
		default:
			if (other->len) {
				size_t from = rng_next(r) % other->len, most = other->len - from;

				memcpy(b->data + at, other->data + from, len < most ? len : most);
			}
		}
	}
}

/* The input in a block of exactly its size, so that a byte read beyond it is seen. */
static void run(const struct buf *b)
{
	auto_free uint8_t *exact = malloc(b->len ? b->len : 1);

	if (b->len)
		memcpy(exact, b->data, b->len);
	LLVMFuzzerTestOneInput(exact, b->len);
}

int main(int argc, char **argv)
{
	const char *target = strstr(argv[0], "fuzz_");
	int64_t rounds = 0, seed = 1;
	int first = 1;
	struct err e = { 0 };
	struct rng r;

	for (const char *more; target && (more = strstr(target + 1, "fuzz_"));)
		target = more;
	if (argc > 3 && str_eq(argv[1], "-m")) {
		if (!parse_int(argv[2], 0, INT64_MAX, &rounds) || !parse_int(argv[3], 0, INT64_MAX, &seed))
			return fprintf(stderr, "usage: %s [-m ROUNDS SEED] [FILE|FOLDER]…\n", argv[0]), 64;
		first = 4;
	}
	if (first == argc) {
		auto_free char *corpus = xasprintf("tests/fuzz/corpus/%s", target ? target + 5 : "");

		if (add(corpus, &e))
			return fprintf(stderr, "%s: %s\n", argv[0], e.text), 74;
	}
	for (int i = first; i < argc; i++)
		if (add(argv[i], &e))
			return fprintf(stderr, "%s: %s\n", argv[0], e.text), 74;
	if (!input_count)
		return fprintf(stderr, "%s: no input\n", argv[0]), 65;
	for (size_t i = 0; i < input_count; i++)
		run(&inputs[i]);
	rng_seed(&r, (uint64_t)seed);
	for (int64_t i = 0; i < rounds; i++) {
		auto_buf struct buf b = BUF_INIT;
		const struct buf *from = &inputs[rng_next(&r) % input_count];

		buf_add(&b, from->data, from->len);
		mutate(&r, &b);
		run(&b);
	}
	printf("%s: %zu inputs, %lld made from them\n", target ? target : argv[0], input_count, (long long)rounds);
	for (size_t i = 0; i < input_count; i++)
		buf_release(&inputs[i]);
	return 0;
}
