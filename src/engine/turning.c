/* Queries and keys turned by their position, and normed by head before. */
#include "turning.h"

#include "attending.h"

#include "lsp/rotary.h"

static void norm_heads(const lsp_kernels *k, const lsp_norm *n, int heads, int width,
                       float *x) {
  const lsp_rms rms = {.x = x,
                       .gain = n->gain,
                       .y = x,
                       .ldx = width,
                       .ldy = width,
                       .rows = heads,
                       .width = width,
                       .eps = n->eps};
  if (n->kind == LSP_NORM_RMS)
    k->rms_norm(&rms);
}

void lsp_norm_block(const lsp_run *e, int layer, float *qkv) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const lsp_kernels *k = &e->job.kernels;
  const lsp_heads h = l->heads;
  if (l->query_norm.kind == LSP_NORM_NONE && l->key_norm.kind == LSP_NORM_NONE)
    return;
  for (int i = 0; i < LSP_BLOCK; i++) {
    float *row = qkv + i * l->qkv.matrix.rows;
    norm_heads(k, &l->query_norm, h.query, h.width, row);
    norm_heads(k, &l->key_norm, h.shared, h.width, row + (int64_t)h.query * h.width);
  }
}

void lsp_norm_keys(const lsp_run *e, int layer, float *keys) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  norm_heads(&e->job.kernels, &l->key_norm, l->heads.shared, l->heads.width, keys);
}

void lsp_turn_block(const lsp_run *e, int layer, int64_t position, float *qkv) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const lsp_heads h = l->heads;
  const int64_t ld = l->qkv.matrix.rows;
  if (l->position.kind != LSP_POSITION_ROTARY)
    return;
  const int64_t pairs = l->position.rotated / 2;
  float *cosine = lsp_scratch_of(e) + LSP_PANEL * (ld + e->weights.model.width);
  float *sine = cosine + LSP_BLOCK * pairs;
  lsp_rotary_table((int)pairs, l->position.frequency, e->weights.layer[layer].turn,
                   position, cosine, sine);
  for (int head = 0; head < h.query + h.shared; head++)
    e->job.kernels.rotate(LSP_BLOCK, pairs, cosine, sine, qkv + (int64_t)head * h.width,
                          ld);
}

void lsp_turn_back(const lsp_run *e, int layer, int64_t position, int64_t to,
                   const float *query, int64_t ld, float *out, float *room) {
  const lsp_layer *l = &e->weights.model.layer[layer];
  const int64_t pairs = l->position.rotated / 2, width = l->heads.width;
  float *cosine = room, *sine = room + LSP_BLOCK * pairs;
  lsp_rotary_table((int)pairs, l->position.frequency, e->weights.layer[layer].turn,
                   position - to, cosine, sine);
  for (int r = 0; r < LSP_BLOCK; r++) {
    for (int64_t j = 0; j < width; j++)
      out[r * width + j] = query[r * ld + j];
    if (position + r <= to)
      continue;
    float *s = sine + r * pairs;
    for (int64_t j = 0; j < pairs; j++)
      s[j] = -s[j];
    e->job.kernels.rotate(1, pairs, cosine + r * pairs, s, out + r * width, width);
  }
}
