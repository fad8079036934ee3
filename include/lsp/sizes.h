/* How large everything of a run is: pure functions, shared by the engine, which
 * reserves it, and by `longspan plan`, which says it beforehand. Sizes in floats (4
 * bytes). */
#ifndef LSP_SIZES_H
#define LSP_SIZES_H

#include "lsp/halos.h"
#include "lsp/model.h"
#include "lsp/plan.h"
#include "lsp/tiles.h"

_Static_assert((int)LSP_GRID_BLOCK == (int)LSP_BLOCK, "blocks are tiles");

enum {
  LSP_HEAD_COLUMNS = 1024,    /* logits of a row at once */
  LSP_ROUND_TILES = 128,      /* most tiles of the past that a rank holds at once */
  LSP_PICKED_BYTES = 32 << 20 /* room for fetched blocks, or what a panel may pick */
};

/* Pooled rows of a layer (engine/strata.h), those of one stratum. Offsets are floats. */
typedef struct {
  lsp_stratum is;
  lsp_grain grain;
  int64_t reach;  /* rows back, as far as the longest frame goes: borrowed and kept */
  int64_t groups; /* of its ring */
  int64_t ring_at, opening_at;
} lsp_stratum_sizes;

/* What a layer keeps and borrows. Offsets are floats. */
typedef struct {
  int64_t reach; /* rows back, as far as the longest frame goes */
  int64_t tiles; /* that hold the reach before a tile border: they are kept */
  int64_t near;  /* rows back of what every query may look at: without picked blocks */
  int64_t near_tiles; /* that hold it: what spans borrow in rounds */
  int64_t room;    /* tiles of a round; as many as near_tiles: there is but one round */
  int64_t parts;   /* blocks of one key/value head that are fetched from other ranks at
                     most for a batch of panels; 0: none are */
  int64_t picks;   /* such blocks that a block of queries picks at most */
  int64_t choices; /* blocks that the queries of a block choose, all heads */
  int neighbours;  /* keys that a query takes from a store; 0: there is none */
  int turns;       /* the tiles are as keys are before they are turned */
  int64_t beside;  /* a store: rows back that the other branches look at */
  int64_t fixed;   /* tiles of the first rows of a document that it needs throughout */
  int64_t groups;  /* of its ring */
  int64_t ring_at, fixed_at, opening_at; /* in kept.rings, kept.fixed, kept.opening */
  int64_t strips;                        /* of relative positions */
  int64_t tile;                          /* floats of a tile */
  int64_t pooled;                        /* floats of a pooled row */
  int64_t state; /* bytes that are handed along the ranks (lsp/memory.h) */
  int strata;
  lsp_stratum_sizes stratum[LSP_STRATA_MAX];
  /* two-sided (lsp/halos.h): `groups` are small ones then */
  lsp_sight sight;
  int64_t lag;     /* blocks that wait for those ahead of them, at most */
  int64_t wait_at; /* in kept.waiting: their hidden rows, then their queries */
  int64_t wait_groups;
  int in_rounds; /* it looks at all of a frame, `room` blocks at a time */
} lsp_layer_sizes;

/* How often a layer's past comes to a rank: twice to a store, for keys and then for values,
 * where that takes several rounds. */
static inline int lsp_sizes_sweeps(const lsp_layer_sizes *y, int64_t rounds) {
  return y->neighbours > 0 && rounds > 1 ? 2 : 1;
}

/* 1: a layer sees all of a document, ahead, too, so that waves are of whole ones. */
int lsp_sizes_whole(const lsp_model *model);

/* Floats of a layer's rings: of tiles, and of rows that wait. */
int64_t lsp_sizes_ring(const lsp_layer_sizes *y);
int64_t lsp_sizes_wait(const lsp_model *model, int layer, const lsp_layer_sizes *y);

/* The wave that begins at a panel, of so many rows at most; of whole documents, if layers
 * see all of them. */
lsp_range lsp_sizes_wave(const lsp_model *model, const lsp_plan *plan, int64_t first,
                         int64_t rows);

/* The step of a layer that looks ahead, of rank 0 of one; its panels are the caller's. */
lsp_step lsp_sizes_step(const lsp_plan *plan, const lsp_layer_sizes *y);

/* What of a layer's sizes is so because it looks ahead. */
void lsp_sizes_ahead(const lsp_model *model, int layer, int64_t longest, int64_t ranks,
                     lsp_layer_sizes *y);

/* Global rows of a layer lie in the first blocks of a frame: so many; 0: it has none. */
int64_t lsp_sizes_global_blocks(const lsp_layer *layer);

/* Local. How documents become frames. LSP_E_USAGE: the prefix does not fit into chunks. */
lsp_status lsp_sizes_framing(const lsp_context *context, const lsp_wrapper *wrapper,
                             int prefix, lsp_framing *framing, lsp_failure *why);

/* Local. What of a wrapper decides the frames, as files have it in an attribute; back: 0,
 * if the words are of none. NULL: a model without a wrapper. */
enum { LSP_WRAPPER_WORDS = 80 };
void lsp_wrapper_print(const lsp_wrapper *wrapper, char words[LSP_WRAPPER_WORDS]);
int lsp_wrapper_parse(const char *words, lsp_wrapper *wrapper);

/* Local. LSP_E_INPUT: the longest frame has more rows than the model of `dir` has, or was
 * trained for; says which contexts would help. */
lsp_status lsp_sizes_positions(const lsp_model *model, const char *dir,
                               const lsp_context *context, int64_t longest,
                               lsp_failure *why);

/* longest: rows of the longest frame. ranks: of the run. layer (L) is filled. LSP_E_LIMIT:
 * relative positions that would be too many; says what to do. */
lsp_status lsp_sizes_layers(const lsp_model *model, int64_t longest, int64_t ranks,
                            lsp_layer_sizes *layer, lsp_failure *why);

/* Strips of relative positions that a layer needs, for documents of any length where the
 * reach is bounded; -1: as many as a document is long. */
int64_t lsp_sizes_strips(const lsp_layer *layer);

/* Tiles of the learned slots of a layer. */
int64_t lsp_sizes_slots(const lsp_layer *layer);

/* Packed output rows of cluster i, beyond the shortlist. */
int64_t lsp_sizes_tail(const lsp_model *model, int i);

/* Packed projection of cluster i, into the model's width or out of it. */
int64_t lsp_sizes_projection(const lsp_model *model, int i);

/* What is made from the weights and lies beside them, one copy a node. */
int64_t lsp_sizes_prepared(const lsp_model *model);

/* Rows of keys and values that a snapshot holds of every layer: those within reach (or
 * `longest`), and fixed ones. */
int64_t lsp_sizes_reach(const lsp_model *model, int64_t longest);
int64_t lsp_sizes_layer_reach(const lsp_model *model, int layer, int64_t longest);
int64_t lsp_sizes_fixed(const lsp_model *model);

/* Pooled rows that a snapshot holds of every layer beside these (engine/strata.h). Of the
 * strata of a layer, in their order, each `reach` rows, and one for a unit that is not
 * whole where the stratum averages keys and values themselves. A stratum that looks back
 * without end has what is left of `all`, that is as many as `longest` allows. */
int64_t lsp_sizes_pooled(const lsp_model *model, int64_t longest);
int64_t lsp_sizes_pooled_rows(const lsp_model *model, int layer, int stratum,
                              int64_t all);
int64_t lsp_sizes_pooled_at(const lsp_model *model, int layer, int stratum,
                            int64_t all);

/* What a run is asked for that decides its sizes. Together with the model and the
 * corpus these decide the waves: nothing measured does, so that the same command takes
 * the same memory every time, and what `longspan plan` says. */
typedef struct {
  int64_t wave_tokens; /* negative: chosen */
  int64_t memory;      /* bytes a rank may take beside the node's copies; negative:
                          LSP_MEMORY_DEFAULT, or what the smallest wave needs */
  int64_t ranks, threads;
  int64_t longest;       /* rows of the longest frame */
  int64_t tables;        /* bytes of the tables of documents, one copy a node */
  int64_t hidden_layers; /* whose input is written */
  int64_t chosen_layers; /* whose choices are written, */
  int64_t chosen_width;  /* so many numbers of a token at most */
  int64_t starts;        /* 1: the places of tokens are written */
  int scratch;           /* kept tiles lie in files */
} lsp_request;

/* Larger waves than fit in this were not faster, and smaller ones than fit in half of
 * it not much slower. */
enum { LSP_MEMORY_DEFAULT = 256 << 20 };

/* FLOP/s of a thread, for "about 30 s of work" a wave: nominal, so that waves do not
 * depend on what else the machine does. */
static const double lsp_nominal_rate = 40e9;

/* What a run holds in memory. Everything but `node` is of one rank; rank 0, which holds
 * most, has `root` more. */
typedef struct {
  int64_t wave_rows;
  int64_t span_rows; /* capacity of a span: it ends at the first panel border past its
                          share */
  /* floats in the arena */
  int64_t x, q, tiles; /* hidden states, queries, keys and values of the span */
  int64_t gates;       /* weights of results, row by row */
  int64_t rooms, room; /* halo: rooms (1, or 2 where there are rounds) of room floats */
  int64_t halo;
  int64_t fixed_room; /* fixed tiles on their way: 2 of fixed_room floats */
  int64_t fixed;
  int64_t partials;    /* of walks in several rounds */
  int64_t wrapped;     /* of reading and writing an associative memory */
  int64_t compressing; /* of a layer with a compressive memory */
  int64_t picked;      /* fetched blocks: parts of them at most */
  int64_t parts;       /* a number */
  int64_t choices;     /* of the span's queries */
  int64_t nearest;     /* lists of a store: of each query head and row */
  int64_t found;       /* how long they are, and how many were added */
  int search_heads;    /* a number: most query heads of a layer with a store */
  int64_t recalled;    /* what a store gave for blocks and heads */
  int64_t turned;      /* tiles of the span turned, and fixed ones */
  int64_t memory_rows; /* rows of a snapshot on their way out */
  int64_t scratch;     /* of one thread */
  int64_t tokens;      /* ids; as many again for nll */
  int64_t lead;        /* ids that are read again */
  int64_t starts;      /* places of tokens */
  int64_t sums;        /* of the panels, and of what enters layers in each */
  int64_t sum_panels;  /* a number: panels of which the latter are held at once */
  int64_t shares;      /* what documents got of the span */
  int64_t rings;       /* kept tiles of all layers */
  int64_t kept_fixed;  /* fixed tiles of all layers */
  int64_t moved;       /* rows of x and q that change their rank, each */
  int64_t waiting;     /* rows of all layers that wait for those ahead of them */
  int64_t globals;     /* results of global rows: of panels, and of frames */
  int64_t global_q, global_tiles; /* their own queries, and keys and values for them */
  int64_t global_rows;            /* queries, and results, on their way */
  int64_t opening;      /* rank 0: tiles of the panel within which a run began */
  int64_t strata;       /* pooled rows of a layer, borrowed ones too, and their tiles */
  int64_t strata_rings; /* kept pooled rows of all layers */
  int64_t strata_opening; /* rank 0: those of the panel within which a run began */
  int64_t states;         /* of all layers, and of the model (lsp/memory.h) */
  int64_t pieces;         /* of a wave on all ranks, at most: a number */
  int64_t span_pieces;    /* of a span, at most */
  /* rows that a snapshot holds of every layer: within reach, fixed, and pooled */
  int64_t reach, fixed_rows, pooled_rows;
  /* bytes */
  int64_t
      scratch_bytes; /* of the file that holds the kept tiles; 0: they are in memory */
  int64_t buffers;   /* all of the above but `opening` and `strata_opening` */
  int64_t lists;     /* pieces and panels of the span */
  int64_t process;   /* program, MPI, HDF5, BLAS, the output's buffers */
  int64_t root;      /* rank 0: these, and what documents got of all spans */
  int64_t node;      /* weights, what is made of them, documents: one copy a node */
} lsp_sizes;

/* Bytes of rank 0 beside the node's copies. */
static inline int64_t lsp_sizes_rank(const lsp_sizes *s) {
  return s->buffers + s->lists + s->process + s->root;
}

/* Rows of a stratum in a span and what it borrows; and tiles that hold them. A frame that
 * begins in the span begins a tile of its own. */
static inline int64_t lsp_stratum_room(const lsp_stratum_sizes *s, int64_t span_rows) {
  return s->reach + span_rows / s->grain.unit + 2;
}
static inline int64_t lsp_stratum_before(const lsp_stratum_sizes *s) {
  return lsp_divide_up(s->reach, LSP_BLOCK) + 2;
}
static inline int64_t lsp_stratum_tiles(const lsp_stratum_sizes *s, int64_t span_rows,
                                        int64_t pieces) {
  return lsp_stratum_before(s) + span_rows / (LSP_BLOCK * s->grain.unit) + pieces + 1;
}

/* What sizes are worked out from. All lent. */
typedef struct {
  const lsp_model *model;
  const lsp_layer_sizes *layer;
  const lsp_plan *plan;
  const lsp_request *request;
} lsp_sizing;

/* Sizes for waves of wave_rows rows. */
lsp_sizes lsp_sizes_of(const lsp_sizing *z, int64_t wave_rows);

/* Floats of a layer's ring that are in use once `tiles` of a frame are kept. */
int64_t lsp_sizes_ring_used(const lsp_layer_sizes *y, int64_t tiles, int64_t ranks);

/* Bytes of rank 0 for the smallest wave that a run chooses. */
int64_t lsp_sizes_least(const lsp_sizing *z);

/* FLOPs of a token in the midst of the longest document. */
double lsp_sizes_token_flops(const lsp_model *model, int64_t longest);

/* Local, pure. Chooses the waves of a run: those asked for, else about 30 s of work
 * within the memory. LSP_E_MEMORY with the figures if the memory asked for is not
 * enough. */
lsp_status lsp_sizes_choose(const lsp_sizing *z, lsp_sizes *out, lsp_failure *why);

/* Messages to other ranks, and their bytes. */
typedef struct {
  int64_t messages, bytes;
} lsp_sent;

/* What ranks lend each other of keys and values (lsp/exchange.h): messages and bytes
 * are each the most of any rank, which may be different ones. */
typedef struct {
  int exact; /* the counts of a run; else bounds, which a run stays below */
  int64_t waves;
  int64_t idle;   /* ranks without work in the wave that has most of them; -1: not
                         counted */
  lsp_sent layer; /* in one layer of one wave */
  lsp_sent rank;  /* in the whole run */
  /* of picked blocks beside that, which only the run knows: at most, in one layer of one
   * wave */
  lsp_sent fetched;
  /* of the whole run, all ranks, by kind of loan: -1 where it is not counted */
  lsp_sent kind[LSP_LOAN_KINDS];
} lsp_lending;

/* Local, pure. The lending of a run. Counting is given up for bounds beyond `budget`
 * waves times ranks (0: bounds alone). */
lsp_status lsp_sizes_lending(const lsp_sizing *z, int64_t wave_rows, int64_t budget,
                             lsp_lending *out, lsp_failure *why);

#endif
