/* What the files of the engine share: the state of a run, and of the wave under way.
 *
 * Memory: `shared` (weights and what is made of them, one a node), `arena` (everything
 * of a wave, sized once). Letters: D model width, A = H E attention width. */
#ifndef LSP_ENGINE_INTERNAL_H
#define LSP_ENGINE_INTERNAL_H

#include "lsp/arena.h"
#include "lsp/attend.h"
#include "lsp/corpus.h"
#include "lsp/engine.h"
#include "lsp/exchange.h"
#include "lsp/gemm.h"
#include "lsp/limits.h"
#include "lsp/memory.h"
#include "lsp/plan.h"
#include "lsp/shared.h"
#include "lsp/sizes.h"
#include "lsp/store.h"
#include "lsp/text_hash.h"
#include "lsp/transfo_xl.h"
#include "lsp/watch.h"

#include <jansson.h>

/* phases of the timing table */
#define LSP_PHASE_TABLE(X)                                                             \
  X(READ, "read tokens")                                                               \
  X(EMBED, "embed")                                                                    \
  X(PROJECT, "project q, k, v")                                                        \
  X(ATTEND, "attention")                                                               \
  X(FEED, "output and feed-forward")                                                   \
  X(WAIT, "wait for halos")                                                            \
  X(HEAD, "log-probabilities")                                                         \
  X(LEVEL, "wait for other ranks")                                                     \
  X(WRITE, "write")                                                                    \
  X(COMMIT, "sync and commit")

typedef enum {
#define X(name, words) LSP_PHASE_##name,
  LSP_PHASE_TABLE(X)
#undef X
      LSP_PHASES
} lsp_phase;

/* A snapshot that the memory file holds. */
typedef struct {
  int64_t document, position;
} lsp_stop;

/* A panel of the span. */
typedef struct {
  const lsp_piece *piece;
  int64_t row;   /* of its first row in the span */
  int64_t start; /* position of that row */
  int rows;
} lsp_panel;

/* What one document got in one wave on one rank. */
typedef struct {
  int64_t document, count, not_finite;
  uint64_t low;
  int64_t high;
} lsp_share;

/* Where a result is not finite: the row of a token in a layer. Layer -1: embedding;
 * n_layer: the log-probabilities after that row. */
typedef struct {
  int64_t token; /* in the corpus; -1: the row before the first one; INT64_MAX: none */
  int layer;
} lsp_spot;

typedef struct {
  lsp_range range, span;
  lsp_piece *piece; /* (pieces), room in the arena's bookkeeping */
  lsp_panel *panel; /* (panels) */
  int64_t pieces, panels, rows;
  int64_t token_first, token_end; /* of the span */
  int64_t nll_first, nll_end;     /* tokens whose nll this span computes */
  lsp_tiles past;                 /* of the span's first panel */
  lsp_tiles carried;              /* into the wave */
  lsp_tiles next;                 /* carried out of it */
  int64_t tail_from;              /* panels from here on hold tiles that are lent */
  int64_t border_end;             /* panels before here look into the halo */
  lsp_loan *lent, *borrowed;
  int lents, borroweds, lent_room, borrowed_room;
} lsp_wave;

typedef struct {
  double seconds[LSP_PHASES];
  double flops;  /* useful ones */
  double cpu;    /* CPU time of all threads in compute */
  lsp_sent sent; /* in a layer of a wave, the most messages and the most bytes */
} lsp_clock;

/* The last wave; rows 0: none yet. */
typedef struct {
  int64_t rows;
  double seconds;
} lsp_pace;

typedef struct {
  lsp_ctx *ctx;
  const lsp_options *options;
  int threads;
  lsp_isa isa;
  lsp_kernels kernels;
  double
      gemm_rate; /* FLOP/s of all ranks, measured at start: for the report, and for the first
                       wave under --max-time */

  lsp_txl_config config; /* with segment and mem_len of this run */
  lsp_txl model;
  unsigned char model_hash[16];
  int mem_zeros;
  lsp_heads heads;
  lsp_shared shared;
  int64_t strip_count;                     /* strips of each layer */
  const float **strips;                    /* (L) */
  const float **ghost;                     /* (L) tile of positions before 0 */
  const float *tail[LSP_TXL_CLUSTERS_MAX]; /* (tiles, e, 64) packed out[i] */

  lsp_shared list;   /* the documents, as they are packed */
  lsp_shared tables; /* of the plan */
  lsp_corpus *corpus;
  lsp_spooling spooling;  /* rank 0: what became of standard input */
  lsp_text_hash text;     /* what the corpus must read */
  int64_t start_position; /* of the first token of document 0 */
  lsp_plan plan;
  int64_t reach;  /* rows of memory R */
  lsp_stop *stop; /* (stops) sorted */
  int64_t stops;
  lsp_store *store;
  lsp_commit commit;     /* the last one */
  int64_t first_token;   /* where this process began: tokens before it were done */
  int64_t next_document; /* documents before it have been written */

  lsp_watch *watch;
  lsp_exchange *exchange;
  lsp_limit limit; /* memory of this node, before anything was reserved */
  lsp_sizes sizes;
  lsp_arena arena;
  float *x;              /* (span_rows, D) hidden states */
  float *q;              /* (span_rows, A) queries, then weighted values */
  float *tiles;          /* (span_rows / 64) tiles of the span */
  float *halo;           /* (reach_tiles) */
  float *carry[2];       /* rank 0: (L, carry_tiles): in, out */
  float *memory_rows;    /* (2, reach, A) for snapshots */
  float *scratch;        /* (threads, sizes.scratch) */
  float *nll;            /* (span_rows + 1) */
  int32_t *id;           /* (span_rows + 1) */
  uint64_t *panel_sum;   /* (span_rows / 64) */
  lsp_share *share;      /* (pieces) */
  lsp_share *all_shares; /* rank 0: of all ranks */
  int *share_count;      /* rank 0: (2 P) bytes of each and where they go */
  float *
      start_hidden; /* (D) rank 0: hidden row before the first token, from a snapshot */
  int has_start_hidden;
  lsp_wave wave;
  lsp_spot lowest; /* the first row of the wave, on this rank, that is not finite */
  lsp_clock clock;
  lsp_pace pace;
  double last_progress;
} lsp_run;

/* setup.c */
lsp_status lsp_run_agree_kernels(lsp_run *e, const char *recorded_core);
double lsp_run_gemm_rate(const lsp_run *e); /* FLOP/s of this rank */
lsp_status lsp_run_open_model(lsp_run *e);
lsp_status lsp_run_size(lsp_run *e);
lsp_status lsp_run_open_buffers(lsp_run *e);
void lsp_run_close(lsp_run *e);

/* claims.c: what the run reads must not be what it writes */

/* Collective. Before anything is touched: files that are named. */
lsp_status lsp_claims_check(const lsp_run *e);

/* Collective. Before anything but FILE.stdin is touched: files of folders and lists. */
lsp_status lsp_claims_check_documents(const lsp_run *e);

/* Local. 0: a log that is there may yet turn out to be an input. */
int lsp_claims_log_is_known(const lsp_options *o);

/* trials.c */
lsp_status lsp_run_try_threads(lsp_run *e); /* Collective */
lsp_status lsp_run_try_blas(lsp_run *e,
                            const char *core); /* Local; under limits only */

/* inputs.c */
lsp_status lsp_run_open_corpus(lsp_run *e);
lsp_status
lsp_inputs_done(const lsp_run *e);        /* Local: the copy of standard input goes */
void lsp_inputs_forget(const lsp_run *e); /* Local: so does one of a refused run */

/* prepare.c: what is made from the weights, once */
void lsp_prepare(lsp_run *e, float *block, int fill);

/* pace.c */
int64_t lsp_pace_rows(lsp_run *e); /* Collective: of the next wave; 0: stop */
void lsp_pace_note(lsp_run *e, double seconds); /* of the wave that was committed */
lsp_status lsp_pace_stopped(lsp_run *e);        /* Local: LSP_E_STOPPED, and why */

/* wave.c */
/* rows: at most sizes.wave_rows. */
lsp_status lsp_wave_open(lsp_run *e, int64_t first_panel, int64_t rows);
void lsp_wave_lists_free(lsp_wave *w);

/* forward.c: one layer, and the embedding, over the span */
void lsp_forward_embed(lsp_run *e);
void lsp_forward_layer(lsp_run *e, int layer);
/* Tile of a piece that holds positions 64 tile .. 64 tile + 63. */
const float *lsp_forward_tile(const lsp_run *e, int layer, const lsp_piece *piece,
                              int64_t tile);

/* finite.c: results that are not finite. A row with such a number is NaN as a whole, so
 * what the library and the kernels make of an overflow does not show in the bits. */
/* Local, thread-safe. */
void lsp_finite_note(lsp_run *e, int64_t token, int layer);
/* Local, thread-safe. The hidden rows of a panel, after a layer (-1: the embedding).
 * Rows that are no token do not count. */
void lsp_finite_hidden(lsp_run *e, const lsp_panel *p, int layer);
/* Local. 1 if a row (3 A) of query, key and value is not finite. It then becomes NaN,
 * NaN and 0: the key spoils the queries that see it, and the value spoils no other. */
int lsp_finite_spoil(const lsp_run *e, float *qkv);
/* Local, thread-safe. The same for rows (rows, 3 A), of which the first is that of
 * `token`. */
void lsp_finite_projected(lsp_run *e, float *qkv, int rows, int64_t token, int layer);
/* Collective. The lowest row of the wave that is not finite stops the run: the same row
 * for any ranks, threads and waves. */
lsp_status lsp_finite_agree(lsp_run *e);

/* heads.c */
void lsp_heads_span(lsp_run *e);
/* nll of `id` after a hidden row at `position`. */
float lsp_heads_one(lsp_run *e, const float *hidden, int64_t position, int32_t id);

/* snapshots.c */
lsp_status lsp_list_stops(lsp_run *e);
void lsp_snapshot_layer(lsp_run *e, int layer);
void lsp_snapshot_ends(lsp_run *e);
/* Local. What the wave appends to the slot, into its record. */
void lsp_snapshot_record(const lsp_run *e, lsp_commit *commit);
lsp_status lsp_snapshot_load(lsp_run *e, const lsp_file_view *from);

/* results.c: per-token results and document sums of a wave to the store */
void lsp_results_write(lsp_run *e);
lsp_status lsp_results_documents(lsp_run *e, lsp_commit *commit);

/* identity.c: what a run is made of, and its store */
void lsp_recorded_core(const lsp_run *e, char core[LSP_BLAS_NAME_SIZE]);
lsp_status lsp_run_open_store(lsp_run *e, const char *from_hash,
                              lsp_store_state *state);
lsp_status lsp_snapshot_open(lsp_run *e, lsp_file_view *from, char from_hash[33]);

/* report.c */
void lsp_report_progress(lsp_run *e, int layer, int force);
void lsp_report_end(const lsp_run *e, const char *state, int ended);
void lsp_report_finished(const lsp_run *e);
int lsp_report_is_ours(const json_t *o); /* Local: a FILE.run.json of longspan */

#endif
