/* Where ranks leave signs of life for each other: a table with a record a rank, in a
 * window that the ranks of one host share, or in a file. Internal to base.
 *
 *   record 0        of the board: magic, and whether the job is being ended
 *   record 1 + r    of rank r
 *
 * The file is opened anew for each access: network file systems promise to show at an
 * open what was written before the writer's close, and not more. */
#ifndef LSP_BOARD_H
#define LSP_BOARD_H

#include "lsp/ctx.h"

#include <stdatomic.h>
#include <stdint.h>

enum { LSP__RECORD_WORDS = 16, LSP__HOST_SIZE = 56, LSP__PHASE_SIZE = 40 };

typedef struct {
  uint64_t count;    /* of records written by this rank: it is alive */
  uint64_t progress; /* times that the rank was seen to have done something */
  int64_t since;     /* ms that it has done nothing for */
  int32_t layer, waits;
  char phase[LSP__PHASE_SIZE], host[LSP__HOST_SIZE];
} lsp__record;

typedef struct {
  MPI_Win window;
  _Atomic uint64_t *words; /* (1 + ranks, LSP__RECORD_WORDS); NULL: the file */
  char *path;
  int made; /* the file, by this rank */
  int rank, ranks;
} lsp__board;

/* Collective. `in_memory`: all ranks are on one host. */
lsp_status lsp__board_open(lsp_ctx *ctx, const char *path, int in_memory,
                           lsp__board *board);
void lsp__board_close(lsp__board *board); /* Collective. */

/* Local. Away with what an earlier run left; a file of another kind is an error. */
lsp_status lsp__board_remove_old(const char *path, lsp_failure *why);

/* Local, any thread. 0: the board could not be reached. */
int lsp__board_put(const lsp__board *board, const lsp__record *mine);
int lsp__board_get(const lsp__board *board, lsp__record *all); /* (ranks) */
int lsp__board_end(const lsp__board *board);                   /* the job is ended */
int lsp__board_ended(const lsp__board *board);                 /* 1: someone said so */

#endif
