/* Bounds of what layers send whose traffic is not that of lsp/plan.h alone. */
#include "lending.h"

#include "lsp/exchange.h"

enum { B = LSP_GRID_BLOCK };

int64_t lsp_add_times(int64_t a, int64_t n, int64_t b) {
  int64_t product, sum;
  if (__builtin_mul_overflow(n, b, &product) ||
      __builtin_add_overflow(a, product, &sum))
    return INT64_MAX;
  return sum;
}

lsp_sent lsp_sent_add(lsp_sent a, int64_t n, lsp_sent b) {
  return (lsp_sent){lsp_add_times(a.messages, n, b.messages),
                    lsp_add_times(a.bytes, n, b.bytes)};
}

lsp_sent lsp_sent_most(lsp_sent a, lsp_sent b) {
  return (lsp_sent){lsp_max(a.messages, b.messages), lsp_max(a.bytes, b.bytes)};
}

lsp_sent lsp_sent_tiles(int64_t tiles, int64_t tile) {
  const int64_t floats = lsp_add_times(0, tiles, tile);
  return (lsp_sent){floats / LSP_EXCHANGE_PIECE + (floats % LSP_EXCHANGE_PIECE > 0),
                    lsp_add_times(0, floats, (int64_t)sizeof(float))};
}

/* Some messages with so many floats in all. */
static lsp_sent some(int64_t messages, int64_t n, int64_t floats) {
  const lsp_sent all = lsp_sent_tiles(n, floats);
  return (lsp_sent){lsp_add_times(messages, 1, all.messages), all.bytes};
}

/* Other ranks whose spans may look at one of mine, `blocks` to either side. */
static int64_t neighbours(const lsp_sizing *z, int64_t blocks, int64_t rows) {
  const int64_t others = z->request->ranks - 1, share = rows / z->request->ranks;
  if (blocks >= LSP_TILES_ALL)
    return others;
  if (share < LSP_PANEL) /* a span that is not empty has a block */
    return lsp_min(others, lsp_add_times(4, 2, blocks));
  return lsp_min(others,
                 lsp_add_times(6, 2, lsp_add_times(LSP_PANEL, B, blocks) / share));
}

/* --- layers that look ahead ------------------------------------------------------ */

/* Keys: of the span and the ring to those who look at them, in rounds that may cut them. */
static lsp_sent bound_of_halo(const lsp_layer_sizes *y, int64_t own, int64_t lookers) {
  const int64_t kept = y->groups * LSP_KEPT_GROUP;
  const int64_t cuts = y->in_rounds ? own / y->room + 2 : 1;
  return some(lsp_add_times(0, lookers, 2 * (cuts + kept)),
              lsp_add_times(0, lookers, own + kept), y->tile);
}

/* Rows that move to who attends to them, those that wait among them, and what is kept. */
static lsp_sent bound_of_moves(const lsp_model *m, const lsp_layer_sizes *y, int layer,
                               int64_t own) {
  const lsp_heads h = m->layer[layer].heads;
  const int64_t row = B * (m->width + (int64_t)h.query * h.width);
  const int64_t wait = y->wait_groups * LSP_KEPT_GROUP;
  lsp_sent sent = {0, 0};
  if (y->groups > 0)
    sent = some(own, own, y->tile);
  if (y->lag == 0)
    return sent;
  return lsp_sent_add(sent, 1, some(4 * own + 2 * wait, 2 * own + wait, row));
}

/* First rows of frames, and what global rows see: from span to span, then home. */
static lsp_sent bound_of_first(const lsp_sizing *z, int layer) {
  const lsp_layer *l = &z->model->layer[layer];
  const lsp_layer_sizes *y = &z->layer[layer];
  const int64_t A = (int64_t)l->heads.query * l->heads.width;
  const int64_t n = lsp_sizes_global_blocks(l), others = z->request->ranks - 1;
  const int64_t part =
      (int64_t)B * l->heads.query * (lsp_padded(l->heads.width) + (int64_t)2);
  const lsp_sent tiles = some(3, 3 * y->fixed, y->tile);
  lsp_sent sent = lsp_sent_add((lsp_sent){0, 0}, y->fixed > 0 ? others : 0, tiles);
  if (n > 0)
    sent = lsp_sent_add(sent, others, some(2, 2 * y->fixed, B * A));
  return lsp_sent_add(sent, 1, some(2 * n, 2 * n, part));
}

lsp_sent lsp_bound_of_step(const lsp_sizing *z, int layer, const lsp_sizes *sizes,
                           int64_t rows) {
  const lsp_layer_sizes *y = &z->layer[layer];
  const int64_t own = sizes->span_rows / B;
  const int64_t sight = y->in_rounds ? LSP_TILES_ALL : lsp_halo_most(&y->sight);
  if (z->request->ranks == 1)
    return (lsp_sent){0, 0};
  const lsp_sent halo = bound_of_halo(y, own, neighbours(z, sight, rows));
  return lsp_sent_add(lsp_sent_add(halo, 1, bound_of_moves(z->model, y, layer, own)), 1,
                      bound_of_first(z, layer));
}

/* --- picked blocks --------------------------------------------------------------- */

/* A rank asks for as many parts as its queries pick, at most for each that is within reach
 * once a batch; in as many batches as the room for them makes of its panels: two in a row
 * need more than it has. What it gives is what those within reach ask it for. */
lsp_sent lsp_bound_of_picks(const lsp_sizing *z, int layer, const lsp_sizes *sizes,
                            int64_t rows) {
  const lsp_layer_sizes *y = &z->layer[layer];
  const lsp_heads h = z->model->layer[layer].heads;
  const int64_t blocks = sizes->span_rows / B, others = z->request->ranks - 1;
  const int64_t part = lsp_tile_head(h);
  if (y->parts == 0)
    return (lsp_sent){0, 0};
  const int64_t wants = blocks * lsp_sizes_picks(&z->model->layer[layer]);
  const int fits = y->parts >= y->tiles * h.shared; /* all that is within reach */
  const int64_t batches = fits ? 1 : lsp_min(blocks, 2 * (wants / y->parts) + 1);
  const int64_t askers = neighbours(z, y->tiles, rows);
  const int64_t here = lsp_min(y->tiles, blocks + y->groups * LSP_GROUP);
  const int64_t asked = lsp_min(wants, batches * y->tiles * h.shared);
  const int64_t gives = lsp_min(wants, batches * here * h.shared);
  const int64_t asks = lsp_min(asked, batches * others);
  const int64_t answers = lsp_add_times(0, askers, lsp_min(gives, batches));
  lsp_sent sent = lsp_sent_tiles(lsp_add_times(0, askers, gives), part);
  sent.messages = asks + answers;
  sent.bytes = lsp_add_times(sent.bytes, asked, (int64_t)sizeof(int64_t));
  return sent;
}
