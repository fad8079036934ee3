/* Regular files, opened for reading. Internal to this folder. */
#ifndef LSP_FORMAT_REGULAR_H
#define LSP_FORMAT_REGULAR_H

#include "lsp/status.h"

#include <stdint.h>

/* Local. Opens a regular file and gives its size. A folder, FIFO, socket or device is
 * refused by its kind, and never waited for; so is a file that holds more bytes than its
 * size says. The caller closes *fd. */
lsp_status lsp__regular_open(const char *path, int *fd, int64_t *bytes,
                             lsp_failure *why);

#endif
