/* The sum over all that the layout wrote of a file. Internal to the store. */
#ifndef LSP_STORE_LAYOUT_SUM_H
#define LSP_STORE_LAYOUT_SUM_H

#include "lsp/layout.h"

enum { LSP__PAGE = 4096 };

typedef struct {
  int fd;
  const char *path; /* for messages */
  int64_t bytes;
} lsp__file;

/* Local. XXH3-128, canonical, of every page that is not all zero, each after its offset
 * (u64), and at the end of the size (u64). late (n): data that were filled in later and
 * count as zero; what they take as whole pages is not read. */
lsp_status lsp__layout_sum(const lsp__file *f, const lsp_extent *late, int n,
                           unsigned char hash[16], lsp_failure *why);

/* Local. n > 0 zero bytes. */
int lsp__is_zero(const unsigned char *p, int64_t n);

#endif
