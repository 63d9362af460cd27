/* What both ends need: lines, errors as JSON, socket addresses. Private to ctl. */
#ifndef CTL_WORDS_H
#define CTL_WORDS_H

#include <sys/socket.h>
#include <sys/un.h>

#include "ctl/ctl.h"

/* One object as a line with its newline, value stolen. NULL when it is longer than CTL_LINE_MAX. Caller frees. */
char *words_line(json_t *value, size_t *len);
/* {"jsonrpc": "2.0", "id": id, "error": …}; code 0: from e's kind. id NULL: null. */
json_t *words_failure(const json_t *id, int code, const struct err *e);
/* The error object of an answer, back into *e. */
void words_take_failure(const json_t *error, struct err *e);

/* The address of a socket of any path: a long one is reached through its folder's descriptor, *dir_fd (-1: none),
 * which must stay open while the address is used. */
must_check int words_address(const char *path, struct sockaddr_un *to, int *dir_fd, struct err *e);

#endif
