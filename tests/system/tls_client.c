/* A TLS client with psec's key, for tests and benches: as any program uses it, by libssl's own calls.
 *
 *   tls_client make-key TCTI KEY             a new key under the SRK into the file KEY; its public key on stdout
 *   tls_client leak TCTI KEY                 every way to have the private key; 1 when one of them gives anything
 *   tls_client elsewhere TCTI                what the provider does not do goes on beside it
 *   tls_client sign TCTI KEY DIGEST          a signature of the text "words", on stdout
 *   tls_client connect TCTI|- CA CERT KEY PORT [times N] [wait MS] [mqtt] [again] [hold] [threads N]
 *
 * "-": a key in a plain file, without the provider. connect sends a line and wants it back reversed (s_server -rev),
 * or with "mqtt" a CONNECT and wants CONNACK. "times": one time a line, in us. "again": after a failure one line of
 * stdin is waited for, then the same context tries once more. "hold": connected until a line of stdin. "threads": each
 * of them does it, with the same context. */
#define OPENSSL_SUPPRESS_DEPRECATED /* old ways out count, too */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tpm/tpm.h"

/* As link tells it: the first error is the cause, and what stands beside its reason are our words. */
static int tell(const char *what)
{
	const char *data = NULL;
	int flags = 0;
	unsigned long first = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);
	const char *reason = first ? ERR_reason_error_string(first) : NULL;

	fprintf(stderr, "%s: %s%s%s\n", what, reason ? reason : "no reason given", data && *data ? ": " : "",
		data && *data ? data : "");
	ERR_clear_error();
	return 1;
}

static int tell_ours(const struct err *e)
{
	fprintf(stderr, "%s\n", e->text);
	return 1;
}

/* ---- a key ------------------------------------------------------------------------------------------------------- */

static int make_key(const char *tcti, const char *path)
{
	struct tpm_key srk = {0}, key = {0};
	auto_buf struct buf pem = BUF_INIT, pub = BUF_INIT;
	struct crypto_tss2 file;
	struct tpm *t;
	struct err e;
	bool made;
	int rc;

	if (tpm_open(tcti, 5000, &t, &e))
		return tell_ours(&e);
	rc = tpm_key_ensure(t, TPM_SRK, &srk, &made, &e) || tpm_key_create(t, &key, &e);
	tpm_close(t);
	if (!rc) {
		tpm_key_to_tss2(&key, &file);
		rc = crypto_tss2_write(&file, &pem, &e) || crypto_key_public_pem(key.key, &pub, &e) ||
		     file_replace(path, pem.data, pem.len, 0600, &e);
	}
	if (!rc)
		fputs(pub.data, stdout);
	tpm_key_release(&srk);
	tpm_key_release(&key);
	return rc ? tell_ours(&e) : 0;
}

static EVP_PKEY *key_of(const char *path)
{
	BIO *b = BIO_new_file(path, "r");
	EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;

	BIO_free(b);
	return k;
}

/* ---- the private key cannot be had ------------------------------------------------------------------------------- */

static bool told(const char *way, bool given)
{
	printf("%s: %s\n", way, given ? "GIVEN" : "refused");
	ERR_clear_error();
	return given;
}

static bool todata(EVP_PKEY *k, int selection)
{
	OSSL_PARAM *params = NULL;
	bool given = EVP_PKEY_todata(k, selection, &params) == 1;

	OSSL_PARAM_free(params);
	return given;
}

static bool number(EVP_PKEY *k, const char *name)
{
	BIGNUM *n = NULL;
	bool given = EVP_PKEY_get_bn_param(k, name, &n) == 1;

	BN_clear_free(n);
	return given;
}

static bool written(EVP_PKEY *k, int (*write)(BIO *, const EVP_PKEY *))
{
	BIO *b = BIO_new(BIO_s_mem());
	char *data;
	bool given = write(b, k) == 1 || BIO_get_mem_data(b, &data) > 0;

	BIO_free(b);
	return given;
}

static int as_pem(BIO *b, const EVP_PKEY *k) { return PEM_write_bio_PrivateKey(b, k, NULL, NULL, 0, NULL, NULL); }
static int as_old_pem(BIO *b, const EVP_PKEY *k)
{
	return PEM_write_bio_PrivateKey_traditional(b, k, NULL, NULL, 0, NULL, NULL);
}
static int as_pkcs8(BIO *b, const EVP_PKEY *k) { return i2d_PKCS8PrivateKey_bio(b, k, NULL, NULL, 0, NULL, NULL); }
static int as_der(BIO *b, const EVP_PKEY *k) { return i2d_PrivateKey_bio(b, k); }

static int leak(const char *tcti, const char *path)
{
	unsigned char raw[256], *der = NULL;
	PKCS8_PRIV_KEY_INFO *info = NULL;
	size_t len = sizeof raw;
	EVP_PKEY *k;
	struct err e;
	bool any;

	if (tpm_provider_load(tcti, 1000, &e))
		return tell_ours(&e);
	k = key_of(path);
	if (!k)
		return tell("the key");
	any = told("EVP_PKEY_get_raw_private_key", EVP_PKEY_get_raw_private_key(k, raw, &len) == 1);
	any |= told("i2d_PrivateKey", i2d_PrivateKey(k, &der) > 0);
	any |= told("i2d_PrivateKey_bio", written(k, as_der));
	any |= told("PEM_write_bio_PrivateKey", written(k, as_pem));
	any |= told("PEM_write_bio_PrivateKey_traditional", written(k, as_old_pem));
	any |= told("i2d_PKCS8PrivateKey_bio", written(k, as_pkcs8));
	any |= told("EVP_PKEY2PKCS8", (info = EVP_PKEY2PKCS8(k)) != NULL);
	any |= told("EVP_PKEY_todata", todata(k, EVP_PKEY_KEYPAIR));
	any |= told("EVP_PKEY_todata private", todata(k, OSSL_KEYMGMT_SELECT_PRIVATE_KEY));
	any |= told("EVP_PKEY_get_bn_param", number(k, OSSL_PKEY_PARAM_PRIV_KEY));
	any |= told("EVP_PKEY_get_octet_string_param",
		    EVP_PKEY_get_octet_string_param(k, OSSL_PKEY_PARAM_PRIV_KEY, raw, sizeof raw, &len) == 1);
	any |= told("EVP_PKEY_get0_EC_KEY", EVP_PKEY_get0_EC_KEY(k) != NULL);
	PKCS8_PRIV_KEY_INFO_free(info);
	OPENSSL_free(der);
	EVP_PKEY_free(k);
	return any;
}

/* ---- beside it ------------------------------------------------------------------------------------------------*/

/* Keys in memory are still made, sign, and are checked, with the provider there. */
static int elsewhere(const char *tcti)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char sig[80];
	size_t len = sizeof sig;
	EVP_PKEY *k = NULL;
	struct err e;
	bool good;

	if (tpm_provider_load(tcti, 1000, &e) || tpm_provider_load(tcti, 1000, &e))
		return tell_ours(&e);
	good = (k = EVP_EC_gen("P-256")) && EVP_DigestSignInit(c, NULL, EVP_sha384(), NULL, k) == 1 &&
	       EVP_DigestSign(c, sig, &len, (const unsigned char *)"words", 5) == 1 &&
	       EVP_DigestVerifyInit(c, NULL, EVP_sha384(), NULL, k) == 1 &&
	       EVP_DigestVerify(c, sig, len, (const unsigned char *)"words", 5) == 1 && todata(k, EVP_PKEY_KEYPAIR);
	EVP_PKEY_free(k);
	EVP_MD_CTX_free(c);
	return good ? 0 : tell("a key in memory");
}

static int sign(const char *tcti, const char *path, const char *digest)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char sig[80];
	size_t len = sizeof sig;
	EVP_PKEY *k = NULL;
	struct err e;
	bool good;

	if (tpm_provider_load(tcti, 1000, &e))
		return tell_ours(&e);
	good = (k = key_of(path)) && EVP_DigestSignInit_ex(c, NULL, digest, NULL, NULL, k, NULL) == 1 &&
	       EVP_DigestSign(c, sig, &len, (const unsigned char *)"words", 5) == 1;
	if (good && fwrite(sig, 1, len, stdout) != len)
		good = false;
	EVP_PKEY_free(k);
	EVP_MD_CTX_free(c);
	return good ? 0 : tell("the signature");
}

/* ---- connections ----------------------------------------------------------------------------------------------*/

struct job {
	const char *tcti, *ca, *cert, *key;
	int64_t port, times, wait_ms, threads;
	bool mqtt, again, hold;
};

static SSL_CTX *context_of(const struct job *j)
{
	SSL_CTX *x = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_min_proto_version(x, TLS1_3_VERSION);
	SSL_CTX_set_verify(x, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_load_verify_file(x, j->ca) == 1 && SSL_CTX_use_certificate_chain_file(x, j->cert) == 1 &&
	    SSL_CTX_use_PrivateKey_file(x, j->key, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(x) == 1)
		return x;
	SSL_CTX_free(x);
	tell("key and certificate");
	return NULL;
}

static int reach(int64_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval bound = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof bound);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Under TLS 1.3 the server judges our certificate after SSL_connect: only its answer says that it was taken. */
static int talk(SSL *s, bool mqtt)
{
	static const char line[] = "words\n", reversed[] = "sdrow\n";
	static const unsigned char hello[] = {0x10, 0x0c, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 0};
	static const unsigned char welcome[] = {0x20, 2, 0, 0};
	const void *say = mqtt ? (const void *)hello : line, *want = mqtt ? (const void *)welcome : reversed;
	int len = mqtt ? (int)sizeof hello : 6, wanted = mqtt ? (int)sizeof welcome : 6;
	unsigned char got[8];
	int n;

	if (SSL_connect(s) != 1)
		return tell("handshake");
	if (SSL_write(s, say, len) != len)
		return tell("write");
	n = SSL_read(s, got, wanted);
	if (n <= 0)
		return tell("answer");
	if (n == wanted && memcmp(got, want, (size_t)n) == 0)
		return 0;
	fprintf(stderr, "answer: another than was wanted\n");
	return 1;
}

static int once(const struct job *j, SSL_CTX *x)
{
	int64_t began = now_read().boot_us;
	int fd = reach(j->port), rc;
	char line[8];
	SSL *s;

	if (fd < 0) {
		fprintf(stderr, "nobody listens at port %d\n", (int)j->port);
		return 1;
	}
	s = SSL_new(x);
	SSL_set_fd(s, fd);
	rc = talk(s, j->mqtt);
	if (!rc && j->times > 1)
		printf("%lld\n", (long long)(now_read().boot_us - began));
	if (!rc && j->times == 1)
		printf("connected, %s %s\n", SSL_get_version(s), SSL_get_cipher(s));
	fflush(stdout);
	if (!rc && j->hold && !fgets(line, sizeof line, stdin))
		rc = 1;
	if (!rc)
		SSL_shutdown(s);
	SSL_free(s);
	close(fd);
	return rc;
}

struct thread {
	const struct job *j;
	SSL_CTX *x;
	pthread_t id;
	int rc;
};

static void *in_thread(void *arg)
{
	struct thread *t = arg;

	for (int64_t i = 0; i < t->j->times && !t->rc; i++)
		t->rc = once(t->j, t->x);
	return NULL;
}

static int side_by_side(const struct job *j, SSL_CTX *x)
{
	struct thread t[16];
	int rc = 0;

	for (int64_t i = 0; i < j->threads; i++) {
		t[i] = (struct thread){.j = j, .x = x};
		if (pthread_create(&t[i].id, NULL, in_thread, &t[i]))
			abort();
	}
	for (int64_t i = 0; i < j->threads; i++) {
		pthread_join(t[i].id, NULL);
		rc |= t[i].rc;
	}
	return rc;
}

static int connections(const struct job *j)
{
	SSL_CTX *x;
	struct err e;
	char line[8];
	int rc;

	if (!str_eq(j->tcti, "-") && tpm_provider_load(j->tcti, (int)j->wait_ms, &e))
		return tell_ours(&e);
	x = context_of(j);
	if (!x)
		return 1;
	rc = side_by_side(j, x);
	if (rc && j->again && fgets(line, sizeof line, stdin))
		rc = once(j, x);
	SSL_CTX_free(x);
	return rc;
}

static bool parse(int argc, char **argv, struct job *j)
{
	*j = (struct job){.tcti = argv[2], .ca = argv[3], .cert = argv[4], .key = argv[5], .times = 1, .wait_ms = 5000,
			  .threads = 1};
	if (!parse_int(argv[6], 1, 65535, &j->port))
		return false;
	for (int i = 7; i < argc; i++)
		if (str_eq(argv[i], "mqtt"))
			j->mqtt = true;
		else if (str_eq(argv[i], "again"))
			j->again = true;
		else if (str_eq(argv[i], "hold"))
			j->hold = true;
		else if (str_eq(argv[i], "times") && i + 1 < argc && parse_int(argv[i + 1], 1, 100000, &j->times))
			i++;
		else if (str_eq(argv[i], "threads") && i + 1 < argc && parse_int(argv[i + 1], 1, 16, &j->threads))
			i++;
		else if (str_eq(argv[i], "wait") && i + 1 < argc && parse_int(argv[i + 1], 0, 60000, &j->wait_ms))
			i++;
		else
			return false;
	return true;
}

int main(int argc, char **argv)
{
	struct job j;

	if (argc == 4 && str_eq(argv[1], "make-key"))
		return make_key(argv[2], argv[3]);
	if (argc == 4 && str_eq(argv[1], "leak"))
		return leak(argv[2], argv[3]);
	if (argc == 3 && str_eq(argv[1], "elsewhere"))
		return elsewhere(argv[2]);
	if (argc == 5 && str_eq(argv[1], "sign"))
		return sign(argv[2], argv[3], argv[4]);
	if (argc >= 7 && str_eq(argv[1], "connect") && parse(argc, argv, &j))
		return connections(&j);
	fprintf(stderr, "usage: see tests/system/tls_client.c\n");
	return 64;
}
