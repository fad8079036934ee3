/* A list of paths, read whole. It may be a pipe whose writer is slow, or never comes:
 * being asked to stop ends the wait. */
#include "corpus_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const size_t MOST_BYTES = (size_t)1 << 32;

static lsp_status cannot_read(const char *list, lsp_failure *why) {
  return lsp_fail(why, LSP_E_IO,
                  "%s: cannot be read: %s; expected a text file with one path a line",
                  list, strerror(errno));
}

/* Room for at least one byte after those that are there, and one more. */
static lsp_status grow(const char *list, char **text, size_t bytes, size_t *room,
                       lsp_failure *why) {
  if (bytes > MOST_BYTES)
    return lsp_fail(why, LSP_E_LIMIT,
                    "%s: is longer than %zu bytes; expected a text file with one path "
                    "a line",
                    list, MOST_BYTES);
  if (*text != NULL && bytes + 1 < *room)
    return LSP_OK;
  const size_t wanted = *text == NULL ? 1 << 16 : 2 * *room;
  char *more = realloc(*text, wanted);
  if (more == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for this list", list);
  *text = more;
  *room = wanted;
  return LSP_OK;
}

static lsp_status read_all(int fd, const char *list, char **text, size_t *bytes,
                           lsp_failure *why) {
  for (size_t room = 0;;) {
    LSP_TRY(grow(list, text, *bytes, &room, why));
    LSP_TRY(lsp__corpus_wait(fd, why));
    const ssize_t got = read(fd, *text + *bytes, room - *bytes - 1);
    if (got == 0)
      return LSP_OK;
    if (got > 0)
      *bytes += (size_t)got;
    else if (errno != EINTR && errno != EAGAIN)
      return cannot_read(list, why);
  }
}

lsp_status lsp__corpus_slurp(const char *list, char **text, size_t *bytes,
                             lsp_failure *why) {
  *text = NULL;
  *bytes = 0;
  const int fd = open(list, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0)
    return lsp_fail(why, LSP_E_INPUT,
                    "%s: this list cannot be opened: %s; expected a text file with one "
                    "path a line",
                    list, strerror(errno));
  const lsp_status status = read_all(fd, list, text, bytes, why);
  (void)close(fd);
  return status;
}
