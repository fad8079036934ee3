/* Every rank hashes its share of the chunks into a table that its node shares; the
 * tables of the nodes are merged; then every node reads the share of the node before it
 * and compares. */
#include "lsp/text_hash.h"

#include "lsp/stop.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOST_SIZE = 64, BATCH = 16 };

/* A node: its ranks, and those of the nodes before it. */
typedef struct {
  int64_t before, size;
  char host[HOST_SIZE];
} node;

/* This rank's node, and the one whose share it reads again. */
typedef struct {
  int64_t nodes;
  node mine, other;
} place;

static void name_host(char out[HOST_SIZE]) {
  char name[MPI_MAX_PROCESSOR_NAME] = "";
  int length = 0;
  LSP_MPI(MPI_Get_processor_name(name, &length));
  (void)snprintf(out, HOST_SIZE, "%.*s", HOST_SIZE - 1, name);
}

/* On the first rank of each node. */
static lsp_status gather_nodes(lsp_ctx *ctx, place *p) {
  int nodes = 0, here = 0;
  LSP_MPI(MPI_Comm_size(ctx->leaders, &nodes));
  LSP_MPI(MPI_Comm_rank(ctx->leaders, &here));
  node *all = calloc((size_t)nodes, sizeof *all);
  node own = {.size = ctx->node_size};
  const int enough = all != NULL;
  int everywhere = 0;
  name_host(own.host);
  LSP_MPI(MPI_Allreduce(&enough, &everywhere, 1, MPI_INT, MPI_MIN, ctx->leaders));
  if (!everywhere) {
    free(all);
    return lsp_fail(&ctx->why, LSP_E_MEMORY, "no memory for the names of %d hosts",
                    nodes);
  }
  LSP_ASSERT(all != NULL);
  LSP_MPI(MPI_Allgather(&own, (int)sizeof own, MPI_BYTE, all, (int)sizeof own, MPI_BYTE,
                        ctx->leaders));
  for (int i = 1; i < nodes; i++)
    all[i].before = all[i - 1].before + all[i - 1].size;
  p->nodes = nodes;
  p->mine = all[here];
  p->other = all[(here + nodes - 1) % nodes];
  free(all);
  return LSP_OK;
}

static lsp_status find_place(lsp_ctx *ctx, place *p) {
  lsp_status st = LSP_OK;
  memset(p, 0, sizeof *p);
  if (ctx->leaders != MPI_COMM_NULL)
    st = gather_nodes(ctx, p);
  LSP_TRY(lsp_agree(ctx, st));
  lsp_bcast(ctx->node, p, sizeof *p);
  return LSP_OK;
}

/* Chunks that a rank reads in one go, and how far it is. */
typedef struct {
  lsp_ctx *ctx;
  lsp_corpus *c;
  int64_t first, end;
  double last; /* when it was said how far */
} reading;

/* On a terminal twice a second, in a log every half minute. */
static void say_progress(reading *r, int64_t at) {
  if (r->ctx->rank != 0 || r->ctx->quiet)
    return;
  const int on_terminal = isatty(STDERR_FILENO);
  const double now = MPI_Wtime();
  if (now - r->last < (on_terminal ? 0.5 : 30))
    return;
  r->last = now;
  (void)fprintf(stderr, "%sreading the input once, for its hash: %.1f %%%s",
                on_terminal ? "\r\033[K" : "",
                100.0 * (double)(at - r->first) / (double)(r->end - r->first),
                on_terminal ? "" : "\n");
}

static void end_progress(const reading *r, double begun) {
  if (r->ctx->rank == 0 && !r->ctx->quiet && r->last > begun && isatty(STDERR_FILENO))
    (void)fprintf(stderr, "\r\033[K");
}

/* Hashes into table, or compares with it if hashing is 0. */
static lsp_status read_all(reading *r, lsp_chunk_hash *table, int hashing) {
  const double begun = MPI_Wtime();
  lsp_failure *why = &r->ctx->why;
  lsp_status st = LSP_OK;
  r->last = begun;
  for (int64_t at = r->first; st == LSP_OK && at < r->end; at += BATCH) {
    const int64_t end = at + BATCH < r->end ? at + BATCH : r->end;
    if (lsp_stop_asked())
      st = lsp_fail(why, LSP_E_STOPPED,
                    "stopped on request while the input was read for its hash, before "
                    "any work; the same command begins again");
    else if (hashing)
      st = lsp_corpus_hash_chunks(r->c, at, end, table + at, why);
    else
      st = lsp_corpus_check(r->c, at, end, why);
    say_progress(r, end);
  }
  end_progress(r, begun);
  return st;
}

static lsp_status hash_share(lsp_ctx *ctx, lsp_corpus *c, const place *p,
                             lsp_chunk_hash *table) {
  const int64_t share = p->mine.before + ctx->node_rank;
  reading r = {ctx, c, lsp_corpus_share(c, share, ctx->size),
               lsp_corpus_share(c, share + 1, ctx->size), 0};
  return read_all(&r, table, 1);
}

/* What the other node hashed is, divided over the ranks of this one. */
static lsp_status check_share(lsp_ctx *ctx, lsp_corpus *c, const place *p) {
  if (p->nodes == 1)
    return LSP_OK;
  const int64_t begin = p->other.before * p->mine.size;
  const int64_t at = begin + p->other.size * ctx->node_rank;
  const int64_t all = ctx->size * p->mine.size;
  reading r = {ctx, c, lsp_corpus_share(c, at, all),
               lsp_corpus_share(c, at + p->other.size, all), 0};
  const lsp_status st = read_all(&r, NULL, 0);
  if (st != LSP_E_MISMATCH)
    return st;
  const lsp_failure inner = ctx->why;
  return lsp_fail(&ctx->why, st, "host %s reads another text than host %s: %s",
                  p->mine.host, p->other.host, inner.text);
}

static lsp_status fill_table(lsp_ctx *ctx, lsp_corpus *c, lsp_text_hash *h) {
  place p;
  lsp_chunk_hash *table = (lsp_chunk_hash *)(void *)h->table.floats;
  LSP_TRY(find_place(ctx, &p));
  if (h->table.owner)
    memset(h->table.floats, 0, (size_t)h->table.count * sizeof(float));
  lsp_shared_seal(ctx, &h->table);
  LSP_TRY(lsp_agree(ctx, hash_share(ctx, c, &p, table)));
  lsp_shared_seal(ctx, &h->table);
  lsp_shared_merge(ctx, &h->table);
  lsp_shared_seal(ctx, &h->table);
  lsp_corpus_expect(c, table);
  return lsp_agree(ctx, check_share(ctx, c, &p));
}

lsp_status lsp_text_hash_open(lsp_ctx *ctx, lsp_corpus *c, lsp_text_hash *out) {
  static const int64_t FLOATS = (int64_t)(sizeof(lsp_chunk_hash) / sizeof(float));
  lsp_status st = LSP_OK;
  memset(out, 0, sizeof *out);
  const int64_t chunks = lsp_corpus_chunks(c);
  LSP_TRY(lsp_shared_open(ctx, (chunks > 0 ? chunks : 1) * FLOATS, &out->table));
  LSP_TRY(fill_table(ctx, c, out));
  if (ctx->rank == 0) {
    const void *table = out->table.floats;
    st = lsp_corpus_hash(c, table, out->hash, &ctx->why);
  }
  LSP_TRY(lsp_agree(ctx, st));
  lsp_bcast(ctx->comm, out->hash, sizeof out->hash);
  return LSP_OK;
}

void lsp_text_hash_close(lsp_text_hash *h) {
  lsp_shared_close(&h->table);
  memset(h, 0, sizeof *h);
}
