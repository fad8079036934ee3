/* Messages of a layer: each arrives where it belongs, layer after layer. */
#include "harness.h"

#include "lsp/exchange.h"

enum { KINDS = 4, LAYERS = 5, LARGE = 300000 };

/* A value says where it came from; exact in a float. */
static float mark(int from, int to, int kind, int layer, int64_t i) {
  return (float)((((from * 8 + to) * KINDS + kind) * LAYERS + layer) * 1000 + i % 997);
}

/* Floats of a message: none, one, a few, many (beyond what MPI sends eagerly). */
static int64_t length(int from, int to, int kind) {
  static const int64_t lengths[] = {1, 0, 65, LARGE, 4096, 0, 17, 20000};
  return lengths[(from * 3 + to * 5 + kind) % 8];
}

typedef struct {
  float *sent[8][KINDS], *received[8][KINDS]; /* [peer][kind] */
} buffers;

static float *room(int64_t n) {
  float *x = calloc((size_t)n + 1, sizeof *x);
  LSP_ASSERT(x != NULL);
  return x;
}

static void open_buffers(const lsp_ctx *ctx, buffers *b) {
  for (int peer = 0; peer < ctx->size; peer++)
    for (int kind = 0; kind < KINDS; kind++) {
      b->sent[peer][kind] = room(length(ctx->rank, peer, kind));
      b->received[peer][kind] = room(length(peer, ctx->rank, kind));
    }
}

static void close_buffers(const lsp_ctx *ctx, buffers *b) {
  for (int peer = 0; peer < ctx->size; peer++)
    for (int kind = 0; kind < KINDS; kind++) {
      free(b->sent[peer][kind]);
      free(b->received[peer][kind]);
    }
}

static void fill(const lsp_ctx *ctx, buffers *b, int layer) {
  for (int peer = 0; peer < ctx->size; peer++)
    for (int kind = 0; kind < KINDS; kind++)
      for (int64_t i = 0; i < length(ctx->rank, peer, kind); i++)
        b->sent[peer][kind][i] = mark(ctx->rank, peer, kind, layer, i);
}

/* Whether all that came from `peer` is of this layer, and nothing lies behind it. */
static int arrived(const lsp_ctx *ctx, const buffers *b, int peer, int layer) {
  for (int kind = 0; kind < KINDS; kind++) {
    const int64_t n = length(peer, ctx->rank, kind);
    for (int64_t i = 0; i < n; i++)
      if (b->received[peer][kind][i] != mark(peer, ctx->rank, kind, layer, i))
        return 0;
    if (b->received[peer][kind][n] != 0)
      return 0;
  }
  return 1;
}

static int sends_to(const lsp_ctx *ctx, int from, int to, int everyone) {
  return from != to && to < ctx->size && (everyone || to == from + 1);
}

/* A list of a chain (rank r to r + 1) or of all pairs; both sides in their own order.
 */
static lsp_status list(const lsp_ctx *ctx, lsp_exchange *x, buffers *b, int everyone) {
  for (int peer = ctx->size - 1; peer >= 0; peer--)
    for (int kind = 0; kind < KINDS; kind++)
      if (sends_to(ctx, ctx->rank, peer, everyone))
        LSP_TRY(lsp_exchange_send(x, peer, kind, b->sent[peer][kind],
                                  length(ctx->rank, peer, kind)));
  for (int peer = 0; peer < ctx->size; peer++)
    for (int kind = KINDS - 1; kind >= 0; kind--)
      if (sends_to(ctx, peer, ctx->rank, everyone))
        LSP_TRY(lsp_exchange_receive(x, peer, kind, b->received[peer][kind],
                                     length(peer, ctx->rank, kind)));
  return LSP_OK;
}

static void exchange_layers(lsp_ctx *ctx, lsp_exchange *x, buffers *b, int everyone) {
  lsp_exchange_clear(x);
  assert_everywhere(ctx, list(ctx, x, b, everyone) == LSP_OK);
  for (int layer = 0; layer < LAYERS; layer++) {
    fill(ctx, b, layer);
    lsp_exchange_begin(x);
    for (int i = 0; i < 50 * layer * (1 + ctx->rank); i++)
      lsp_exchange_poll(x);
    lsp_exchange_end(x);
    int right = 1;
    for (int peer = 0; peer < ctx->size; peer++)
      if (sends_to(ctx, peer, ctx->rank, everyone))
        right &= arrived(ctx, b, peer, layer);
    assert_everywhere(ctx, right);
  }
}

static void test_chain_brings_every_layer_from_the_left(void **state) {
  lsp_ctx *ctx = *state;
  lsp_exchange *x = NULL;
  buffers b;
  open_buffers(ctx, &b);
  assert_everywhere(ctx, lsp_exchange_open(ctx, &x) == LSP_OK);
  exchange_layers(ctx, x, &b, 0);
  lsp_exchange_close(&x);
  assert_everywhere(ctx, x == NULL);
  close_buffers(ctx, &b);
}

static void test_all_pairs_exchange_all_kinds_at_once(void **state) {
  lsp_ctx *ctx = *state;
  lsp_exchange *x = NULL;
  buffers b;
  open_buffers(ctx, &b);
  assert_everywhere(ctx, lsp_exchange_open(ctx, &x) == LSP_OK);
  exchange_layers(ctx, x, &b, 1);
  exchange_layers(ctx, x, &b, 0); /* a new list after clear */
  lsp_exchange_close(&x);
  close_buffers(ctx, &b);
}

/* Ranks run ahead of each other by a layer: the same kinds again do not mix up layers.
 */
static void test_a_rank_that_is_ahead_does_not_mix_layers(void **state) {
  lsp_ctx *ctx = *state;
  lsp_exchange *x = NULL;
  buffers b;
  int right = 1;
  open_buffers(ctx, &b);
  assert_everywhere(ctx, lsp_exchange_open(ctx, &x) == LSP_OK);
  assert_everywhere(ctx, list(ctx, x, &b, 0) == LSP_OK);
  for (int layer = 0; layer < LAYERS; layer++) { /* no agreement between layers */
    if (layer % 2 == ctx->rank % 2)
      (void)usleep(20000);
    fill(ctx, &b, layer);
    lsp_exchange_begin(x);
    lsp_exchange_end(x);
    if (ctx->rank > 0)
      right &= arrived(ctx, &b, ctx->rank - 1, layer);
  }
  assert_everywhere(ctx, right);
  lsp_exchange_close(&x);
  close_buffers(ctx, &b);
}

static void test_traffic_counts_what_was_sent(void **state) {
  lsp_ctx *ctx = *state;
  lsp_exchange *x = NULL;
  buffers b;
  int64_t messages = 0, floats = 0;
  open_buffers(ctx, &b);
  assert_everywhere(ctx, lsp_exchange_open(ctx, &x) == LSP_OK);
  assert_everywhere(ctx, lsp_exchange_traffic(x).messages == 0);
  exchange_layers(ctx, x, &b, 1);
  for (int peer = 0; peer < ctx->size; peer++)
    for (int kind = 0; kind < KINDS && peer != ctx->rank; kind++) {
      messages += length(ctx->rank, peer, kind) > 0; /* nothing is not sent */
      floats += length(ctx->rank, peer, kind);
    }
  const lsp_traffic t = lsp_exchange_traffic(x);
  assert_everywhere(ctx, t.messages == LAYERS * messages);
  assert_everywhere(ctx, t.bytes == 4 * LAYERS * floats);
  lsp_exchange_close(&x);
  close_buffers(ctx, &b);
}

static void test_empty_list_returns_at_once(void **state) {
  lsp_ctx *ctx = *state;
  lsp_exchange *x = NULL;
  assert_everywhere(ctx, lsp_exchange_open(ctx, &x) == LSP_OK);
  for (int layer = 0; layer < 3; layer++) {
    if (layer == 2)
      lsp_exchange_clear(x);
    lsp_exchange_begin(x);
    lsp_exchange_poll(x);
    lsp_exchange_end(x);
  }
  assert_everywhere(ctx, lsp_exchange_traffic(x).messages == 0);
  lsp_exchange_close(&x);
  lsp_exchange_close(&x); /* nothing is accepted */
}

LSP_TESTS(cmocka_unit_test(test_chain_brings_every_layer_from_the_left),
          cmocka_unit_test(test_all_pairs_exchange_all_kinds_at_once),
          cmocka_unit_test(test_a_rank_that_is_ahead_does_not_mix_layers),
          cmocka_unit_test(test_traffic_counts_what_was_sent),
          cmocka_unit_test(test_empty_list_returns_at_once))
