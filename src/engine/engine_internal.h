/* What the files of the engine share. The state of a run falls into what it is about:
 *
 *   job        the ranks, the options, the kernels, the clock
 *   weights    the model and what is made from its weights: read-only, one copy a node
 *   text       the documents, their plan, where snapshots are taken
 *   span       this rank's part of the wave under way, and its buffers
 *   kept       what earlier waves left with this rank
 *   progress   what has been committed
 *
 * Memory: `weights.shared` (one a node), `span.arena` (everything of a wave, and what is
 * kept, sized once). Letters: D model width, H query heads, G key/value heads, E head
 * width. */
#ifndef LSP_ENGINE_INTERNAL_H
#define LSP_ENGINE_INTERNAL_H

#include "lsp/arena.h"
#include "lsp/attend.h"
#include "lsp/chain.h"
#include "lsp/corpus.h"
#include "lsp/durable.h"
#include "lsp/engine.h"
#include "lsp/exchange.h"
#include "lsp/gemm.h"
#include "lsp/limits.h"
#include "lsp/model.h"
#include "lsp/parts.h"
#include "lsp/plan.h"
#include "lsp/shared.h"
#include "lsp/sizes.h"
#include "lsp/store.h"
#include "lsp/text_hash.h"
#include "lsp/tiles.h"
#include "lsp/tokenizer.h"
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

/* Picked blocks of a layer (picking.h). */
typedef struct lsp_picking lsp_picking;

enum { LSP_PICKED_RANDOM, LSP_PICKED_CHOSEN, LSP_PICKED_SELECTED, LSP_PICKED_KINDS };

/* What picking took, of all layers of this rank. */
typedef struct {
  int64_t parts, bytes; /* fetched from other ranks: blocks of one key/value head */
  int64_t hits;         /* times that a block of queries wanted one that had come */
  /* Pairs of a block of queries (of a head, or of the heads that choose together) and a
   * block that any of the queries picked, or might have picked. */
  int64_t touched[LSP_PICKED_KINDS], visible[LSP_PICKED_KINDS];
} lsp_picked_counts;

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
  int rank,
      ranks; /* that share the wave; 0 of 1: it is a frame by itself (wrapped.c) */
  lsp_range range, span;
  lsp_piece *piece; /* (pieces), room in the arena's bookkeeping */
  lsp_panel *panel; /* (panels) */
  int64_t pieces, panels, rows;
  int64_t token_first, token_end; /* of the span */
  int64_t nll_first, nll_end;     /* tokens whose nll this span computes */
  lsp_tiles next;                 /* of the document that goes on in the next wave, all
                                     tiles before that wave */
} lsp_wave;

typedef struct {
  double seconds[LSP_PHASES];
  double flops;   /* useful ones */
  double cpu;     /* CPU time of all threads in compute */
  int64_t visits; /* products of a block of queries with a tile, of one head */
  lsp_sent sent;  /* in a layer of a wave, the most messages and the most bytes */
  lsp_picked_counts picked;
} lsp_clock;

/* The last wave; rows 0: none yet. */
typedef struct {
  int64_t rows;
  double seconds;
} lsp_pace;

typedef struct {
  lsp_ctx *ctx;
  const lsp_options *options;
  lsp_write write; /* what is written of each token: --write and the model together */
  int threads;
  lsp_isa isa;
  lsp_kernels kernels;
  int yardstick;    /* the BLAS library is open */
  double gemm_rate; /* FLOP/s of all ranks, measured at start: for the report, and for
                       the first wave under --max-time */
  lsp_limit limit;  /* memory of this node, before anything was reserved */
  lsp_watch *watch;
  lsp_clock clock;
  lsp_pace pace;
  double last_progress;
} lsp_job;

/* What is made from the weights of a layer, once. */
typedef struct {
  lsp_view view[LSP_BRANCHES_MAX]; /* what its softmaxes look at */
  int views;
  lsp_stratum stratum[LSP_STRATA_MAX];
  int strata;
  int is_far;         /* it looks at blocks one by one, or has strata */
  const float *gate;  /* (views, H) weight of each view's result; NULL: 1 */
  const float *slots; /* (slots / 64) tiles of learned keys and values; NULL: none */
  const float *convolved; /* (c, 2 G E, D) matrices of convolved rows (convolved.h) */
  const float *convolved_constant; /* (2 G E); NULL: there are none */
  const float *strips;             /* relative positions; NULL: none */
  int64_t strip_count;
  const float *ghost; /* tile of positions before 0; NULL: there are none */
  const double *turn; /* (64, rotated / 2, 2) cosine and sine of 0 .. 63 steps */
} lsp_prepared;

typedef struct {
  lsp_model model;
  unsigned char hash[16];
  lsp_shared shared;
  lsp_prepared *layer;     /* (L) */
  const float *zeros;      /* as many as any bias has */
  const float *last_slots; /* tiles of the memory after the last norm */
  const float *last_gate;  /* (D) its sigmoid(gate) */
  const float **tail;      /* (clusters) (tiles, e, 64) out[i], for the block kernel */
  const float **in;  /* (clusters) (D, e) packed in_proj; NULL: not packed, or none */
  const float **out; /* (clusters) (e, D) packed out_proj, turned; likewise */
  double *turns;     /* owned: what lsp_prepared.turn points to */
} lsp_weights;

/* A file of what a text was cut into, as long as this process lives. */
typedef struct {
  char path[4096];
  lsp_replacement file; /* never put under its path */
  int is_open;
} lsp_token_file;

enum { LSP_TOKEN_IDS, LSP_TOKEN_STARTS, LSP_TOKEN_FILES };

typedef struct {
  lsp_shared list;   /* the documents, as they are packed */
  lsp_shared tables; /* of the plan */
  lsp_corpus *corpus;
  lsp_spooling spooling; /* rank 0: what became of standard input */
  lsp_text_hash hash;    /* what the corpus must read */
  /* The tokenizer of the model; once the text is cut, of rank 0 alone. NULL: none. */
  lsp_tokenizer *tokenizer;
  int has_tokenizer;
  unsigned char tokenizer_hash[16];
  /* The corpus is of the ids of a text; its hash, and on rank 0 their files. */
  int is_tokenised;
  unsigned char text_hash[16];
  lsp_token_file token_file[LSP_TOKEN_FILES];
  int64_t start_position; /* of the first token of document 0 */
  int32_t
      *before; /* (befores) owned: ids of document 0 before its first token here that
                      are read again, from a snapshot */
  int64_t befores;
  lsp_context context; /* how much of a text is read at once */
  lsp_plan plan;
  lsp_stop *stop; /* (stops) sorted */
  int64_t stops;
} lsp_text;

/* A wave of a two-sided model: layer l projects the panels stage[l] and attends to those of
 * stage[l + 1]; results are of stage[L]. And where the keys are that the panels of the span
 * look at: blocks of the corpus. */
typedef struct {
  lsp_range *stage;       /* (L + 1), owned */
  int64_t *floor;         /* (L + 1), owned: panels before it are done, or not needed */
  int64_t next;           /* panel with which layer 0 goes on */
  lsp_range own;          /* in span.tiles */
  lsp_range above, below; /* in the halo, as far as they have come: before own ones and
                             after them */
  const float *above_tiles, *below_tiles;
  int walks_own;          /* 1: the pass under way does */
  int64_t fixed_frame[2]; /* whose first rows are in span.fixed; -1: none */
} lsp_ahead;

typedef struct {
  lsp_exchange *exchange;
  lsp_sizes sizes;
  lsp_layer_sizes *layer; /* (L) */
  lsp_chain *chain;       /* of states (states.c); NULL: there are none */
  lsp_arena arena;
  const float
      *memory;     /* (wrapper.rows, D) rows of frames that are no tokens, as they are
                          embedded; NULL: those of the model */
  float *x;        /* (span_rows, D) hidden states */
  float *q;        /* (span_rows, cols of output) queries, then weighted values */
  float *gates;    /* (span_rows, views H) what results are weighted by, row by row */
  float *tiles;    /* (span_rows / 64) tiles of the span */
  float *halo;     /* (rooms, room) tiles of the past: of the round that is walked,
                          and of the one on its way */
  float *fixed;    /* (2, fixed tiles): of the document entered, of the one leaving */
  float *partials; /* of walks in more than one round */
  float *strata;   /* pooled rows of a layer, and tiles of them (strata.c) */
  float *wrapped;  /* of a layer that reads and writes an associative memory */
  float *compressing; /* of layers with a compressive memory (compressing.c) */
  float *picked;      /* (parts) fetched blocks of one key/value head */
  int32_t *choice; /* blocks that queries chose: (blocks, G, k) or (rows, G, S - 1) */
  float *nearest;  /* lists of a store (search.c): (H, span_rows, k) */
  float *found;    /* (2, H, span_rows) how long they are, how many were added */
  float *recalled; /* what a store gave: (blocks, H) partial results */
  float *turned; /* (span_rows / 64) tiles as the branches beside a store walk them, and
                      fixed ones */
  lsp_picking *picking;
  float *memory_rows; /* (2, LSP_PANEL, G E) rows on their way to the store */
  float *scratch;     /* (threads, sizes.scratch) */
  float *nll;         /* (span_rows + 1) */
  int32_t *id;        /* (span_rows + 1) */
  int32_t *lead;      /* (span_rows) of rows that are read again; elsewhere undefined */
  int64_t *start;     /* (span_rows + 1) places of tokens, where they are written */
  uint64_t *panel_sum; /* (span_rows / 64) */
  uint64_t
      *layer_sum; /* (span_rows / 64, layers that are written) of what enters layers,
                              then of what they choose */
  float *x_next, *q_next; /* like x and q: rows that have come to another rank */
  float *globals;         /* results of global rows: of panels, then of frames */
  float *global_q, *global_tiles, *global_rows;
  lsp_ahead ahead;
  lsp_wave wave;
  lsp_spot lowest; /* the first row of the wave, on this rank, that is not finite */
} lsp_span;

/* The file of this rank in which its rings lie (scratch.c). */
typedef struct {
  int fd;        /* as long as `bytes` */
  int64_t bytes; /* 0: rings are in memory */
  int64_t tiles; /* of a frame, for which there is room on the disk */
  char path[4096];
} lsp_scratch;

/* Tiles by layer, at the offsets of lsp_layer_sizes. */
typedef struct {
  float *rings; /* kept tiles, dealt by position (lsp/plan.h) */
  float *fixed; /* the first tiles of the document under way */
  lsp_scratch scratch;
  float *waiting; /* hidden rows and queries of blocks that wait for those ahead */
  float *opening; /* rank 0: tiles of the panel within which the run began, as far as
                      its snapshot goes: (L, 4) */
  int64_t opening_first, opening_end; /* which tiles; equal: none */
  float *strata;                      /* rings of pooled rows */
  float *strata_opening;              /* rank 0: as above, of pooled rows */
  lsp_part *part;                     /* (parts) owned: states of layers and model */
  int parts;
  char *state; /* them, one behind another (lsp_parts_at) */
} lsp_kept;

/* Layers that are done of a wave of whole documents (layers_done.c). */
typedef struct {
  char path[4096];
  int fd;       /* -1: none */
  int found;    /* layers that an earlier process had done of the wave to come */
  int64_t rows; /* of that wave */
} lsp_layers_done;

typedef struct {
  lsp_store *store;
  lsp_layers_done layers;
  lsp_commit commit;     /* the last one */
  int64_t first_token;   /* where this process began: tokens before it were done */
  int64_t next_document; /* documents before it have been written */
  int64_t slot_row;      /* rows that the commit to come adds to the store's ring */
  lsp_share *share;      /* (pieces) */
  lsp_share *all_shares; /* rank 0: of all ranks */
  int *share_count;      /* rank 0: (2 P) bytes of each and where they go */
  float *start_hidden;   /* (D) rank 0: hidden row before the first token, from a
                            snapshot */
  int has_start_hidden;
} lsp_progress;

typedef struct {
  lsp_job job;
  lsp_weights weights;
  lsp_text text;
  lsp_span span;
  lsp_kept kept;
  lsp_progress progress;
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

/* Collective. The packed list of rank 0 becomes the corpus of all; *packed is freed. */
lsp_status lsp_inputs_spread(lsp_run *e, void **packed, size_t bytes);

/* tokenised.c: text as the tokens of a model */
lsp_status lsp_run_open_tokenizer(lsp_run *e); /* Collective; what --bos says, too */
lsp_status lsp_tokens_open(lsp_run *e); /* Collective: the corpus becomes one of ids */
void lsp_tokens_close(lsp_run *e);      /* Local: their files go */
/* Local. Name of one of LSP_TOKEN_FILES. */
lsp_status lsp_token_file_name(const char *output, int i, char *path, size_t size,
                               lsp_failure *why);
/* Local. What is there under their names can be of a run that was killed. */
lsp_status lsp_token_files_check(const char *output, lsp_failure *why);

/* prepare.c: what is made from the weights, once */
void lsp_prepare(const lsp_job *job, lsp_weights *w, float *block, int fill);
lsp_status lsp_prepare_open(lsp_weights *w, lsp_failure *why); /* Local: its tables */
void lsp_prepare_close(lsp_weights *w);

/* products.c */

/* Local, thread-safe. y = x W^T. x (rows, w->cols), y (rows, w->rows), dense. rows is that
 * of a panel (lsp/gemm.h). work (rows, LSP_PACK_DEPTH), lent. */
void lsp_multiply(const lsp_job *job, const lsp_matrix *w, int64_t rows, const float *x,
                  float *y, float *work);

/* Local. Packs what rows are multiplied with, if the options ask for it: in place, by the
 * rank that fills the block (fill), after its tensors were read. */
lsp_status lsp_pack_weights(const lsp_job *job, lsp_model *m, int fill,
                            lsp_failure *why);

/* Room for lsp_multiply at the end of this thread's scratch. */
float *lsp_work_of(const lsp_run *e);

/* pace.c */
int lsp_pace_ends(const lsp_run *e, double seconds); /* Collective, between layers that
                                                        are committed one by one; seconds:
                                                        of the last one. 1: stop */
int64_t lsp_pace_rows(lsp_run *e); /* Collective: of the next wave; 0: stop */
void lsp_pace_note(lsp_run *e, double seconds); /* of the wave that was committed */
lsp_status lsp_pace_stopped(lsp_run *e);        /* Local: LSP_E_STOPPED, and why */

/* wave.c */
/* rows: at most sizes.wave_rows. */
void lsp_wave_open(lsp_run *e, int64_t first_panel, int64_t rows);
/* The same of panels that are known. */
void lsp_wave_of(lsp_run *e, lsp_range panels);
/* Who asks the plan for loans. */
lsp_view_of_wave lsp_wave_view(const lsp_run *e);
void lsp_wave_lists_free(lsp_wave *w);

/* forward.c: one layer, and the embedding, over the span */
void lsp_forward_embed(lsp_run *e);
void lsp_embed(lsp_run *e, int64_t first, int64_t end); /* panels of the span */
void lsp_forward_layer(lsp_run *e, int layer);

/* stages.c: two-sided models */
lsp_status lsp_stages_open(lsp_run *e, lsp_failure *why); /* Local */
void lsp_stages_close(lsp_run *e);
/* Where layers go on after the last commit. */
void lsp_stages_begin(lsp_run *e);
/* The next wave, and its first stage. */
void lsp_stages_wave(lsp_run *e, int64_t rows);
/* Panels that layer 0 takes up in this wave. */
lsp_range lsp_wave_taken(const lsp_run *e);

/* ahead.c: one layer of a two-sided model, over the span */
void lsp_ahead_layer(lsp_run *e, int layer);

/* past.c: tiles that cross ranks and waves. A round of the past is in the halo from
 * lsp_past_end on; until then it is on its way, and what was lent is not written. */
int64_t lsp_past_rounds(const lsp_run *e, int layer);
void lsp_past_begin(lsp_run *e, int layer, int64_t round);
/* The same round again: what is fixed stays. */
void lsp_past_again(lsp_run *e, int layer, int64_t round);
void lsp_past_end(lsp_run *e);
/* Which tiles of the past a round brings to this rank. */
lsp_tiles lsp_past_round(const lsp_run *e, int layer, int64_t round);
/* Tile of a round, in the halo. */
const float *lsp_past_tile(const lsp_run *e, int layer, int64_t round, int64_t tile);
/* 1: of the fixed tiles of the document of the span's first piece, some are computed in
 * this wave, before the span or in part. */
int lsp_past_enters(const lsp_run *e, int layer);
/* Fixed tiles of the document of the span's first piece, from tile 0 on, as far as they lie
 * before that piece. */
const float *lsp_past_fixed(const lsp_run *e, int layer);
/* What the next waves will look back into goes to the ranks that keep it. */
void lsp_past_keep_begin(lsp_run *e, int layer);
void lsp_past_keep_end(lsp_run *e, int layer);

/* The piece of a frame that crosses a border of the span: the last, or the first. */
const lsp_piece *lsp_past_piece(const lsp_wave *w, int64_t frame);

/* Tile of a piece of the span. */
float *lsp_own_tile(const lsp_run *e, int layer, const lsp_piece *piece, int64_t tile);
/* Tile of the ring of this rank. */
float *lsp_kept_tile(const lsp_run *e, int layer, int64_t tile);
/* Fixed tile of the document under way. */
float *lsp_kept_fixed(const lsp_run *e, int layer, int64_t tile);

/* picks.c. Collective: lists and requests of picked blocks, where a layer picks some; local
 * the end. */
lsp_status lsp_picking_open(lsp_run *e);
void lsp_picking_close(lsp_run *e);
/* Bytes of the lists for so many parts and panels of a span. */
int64_t lsp_picking_size(int64_t parts, int64_t panels);
/* Floats of a thread that selects blocks token by token (choose_tokens.c). */
int64_t lsp_selecting_scratch(lsp_heads h);
/* Floats of a thread that searches a layer's store (search.c); 0: it has none. */
int64_t lsp_searching_scratch(const lsp_layer *l);
/* Messages between ranks, of all kinds, since the run began. */
lsp_traffic lsp_run_traffic(const lsp_run *e);

/* finite.c: results that are not finite. A row with such a number is NaN as a whole, so
 * what the library and the kernels make of an overflow does not show in the bits. */
/* Local, thread-safe. */
void lsp_finite_note(lsp_run *e, int64_t token, int layer);
/* Local, thread-safe. The hidden rows of a panel, after a layer (-1: the embedding).
 * Rows that are no token do not count. */
void lsp_finite_hidden(lsp_run *e, const lsp_panel *p, int layer);
/* Local. 1 if a row ((H + 2 G) E) of query, key and value is not finite. It then becomes
 * NaN, NaN and 0: the key spoils the queries that see it, and the value spoils no other.
 */
int lsp_finite_spoil(const lsp_kernels *k, lsp_heads heads, float *qkv);
/* Local, thread-safe. The same for rows of a piece, from `position` on. */
void lsp_finite_projected(lsp_run *e, const lsp_piece *p, int64_t position, int rows,
                          float *qkv, int layer);
/* Collective. The lowest row of the wave that is not finite stops the run: the same row
 * for any ranks, threads and waves. */
lsp_status lsp_finite_agree(lsp_run *e);

/* logprobs.c */
void lsp_logprobs_span(lsp_run *e);
/* nll of `id` after a hidden row at `position`. */
float lsp_logprobs_one(lsp_run *e, const float *hidden, int64_t position, int32_t id);

/* scratch.c: rings in a file */
/* Local. Makes it, if the options ask for it. LSP_E_IO: no such folder, or the file system
 * has less room than the ranks of this node will need. */
lsp_status lsp_scratch_open(lsp_run *e, lsp_failure *why);
void lsp_scratch_close(lsp_run *e);
/* Local. Room on the disk for the first `tiles` tiles of a frame: before any is kept.
 * LSP_E_IO: there is none; says how much is missing, and where. */
lsp_status lsp_scratch_reserve(lsp_run *e, int64_t tiles, lsp_failure *why);

/* snapshots.c */
lsp_status lsp_list_stops(lsp_run *e);
/* First stop of a document with a position above `position`. */
int64_t lsp_snapshot_after(const lsp_run *e, int64_t document, int64_t position);
/* Local. Fixed rows of a layer, of the store's slot, or (file) of the last snapshot of
 * another run. */
lsp_status lsp_snapshot_read_fixed(lsp_run *e, const lsp_file_view *file, int layer,
                                   int64_t first, int64_t rows, float *keys,
                                   float *values);
void lsp_snapshot_before(lsp_run *e,
                         int layer); /* what was kept before the first wave */
void lsp_snapshot_layer(lsp_run *e, int layer);
void lsp_snapshot_ends(lsp_run *e);
lsp_status lsp_snapshot_load(lsp_run *e, const lsp_file_view *from);
/* What the commit of this wave says of the memory. */
void lsp_snapshot_commit(lsp_run *e, lsp_commit *next);

/* written.c: what is written of each token, beside results */
/* Local. Fills job.write. LSP_E_USAGE: a layer that the model does not have. */
lsp_status lsp_written_open(lsp_run *e);
/* Local. Bytes of a document's text; -1: ids were given. */
int64_t lsp_written_text_bytes(const lsp_run *e, const lsp_document *d);
/* What the tokens of a tokenizer stand for: of token i bytes [start[i], start[i + 1]).
 * Owned; tokens 0: there is no tokenizer. */
typedef struct {
  int64_t tokens, *start; /* (tokens + 1) */
  unsigned char *bytes;   /* (start[tokens]) */
} lsp_vocabulary_bytes;
/* Local; rank 0 has them. The caller frees the arrays, after a failure, too. */
lsp_status lsp_written_vocabulary(const lsp_run *e, lsp_vocabulary_bytes *v);
/* Local. The places of the span's tokens, where they are known. */
lsp_status lsp_written_starts(lsp_run *e);
/* Collective, before each layer: what enters it, if it is written. */
void lsp_written_layer(lsp_run *e, int layer);
/* Collective, after each layer: what its tokens chose, if it is written. */
void lsp_written_chosen(lsp_run *e, int layer);
/* Numbers that the choices of a token take, the most of any layer that writes them. */
int64_t lsp_written_choices(const lsp_run *e);
/* Local. Sums of what enters the layers that are written, in a panel of the span. */
uint64_t *lsp_written_sums(const lsp_run *e, int64_t panel);
/* Collective. Two-sided models, whose panels pass the layers in several waves: before the
 * first layer of a wave, and after the last one. */
void lsp_written_begin(lsp_run *e);
void lsp_written_spread(lsp_run *e);
/* Rows of hidden states as they will lie in the file, padding between pieces taken out;
 * to may be span.x: the span then has no further use for it. */
void lsp_written_rows(const lsp_run *e, float *to);

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
