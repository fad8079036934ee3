/* A list of squares to be drawn, and where it comes from. Internal to cli. */
#ifndef LSP_CLI_INFO_PICTURE_H
#define LSP_CLI_INFO_PICTURE_H

#include "info_sight.h"

enum { LSP_PICTURES = 64 }; /* more are not drawn */

/* One square. */
typedef struct {
  lsp_sight sight;
  char name[256], says[512]; /* above it */
} lsp_picture;

typedef struct {
  lsp_picture list[LSP_PICTURES];
  int count, more;
  int cells;    /* of a side */
  int64_t each; /* positions of a cell */
} lsp_pictures;

/* Local. A square without a name; NULL: there are too many. */
lsp_picture *lsp_pictures_add(lsp_pictures *list);

/* Local. One of each kind of branch, and their scale: at most 64 cells. */
void lsp_info_examples(lsp_pictures *list);

#endif
