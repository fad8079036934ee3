/* Parts of a model's memories. */
#include "lsp/memory.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct {
  lsp_part *part;
  int n, layer;
} parts;

static void add(parts *list, const char *name, lsp_part_type type, int dims, ...) {
  lsp_part *p = &list->part[list->n++];
  va_list dim;
  *p = (lsp_part){.layer = list->layer, .type = type, .dims = dims};
  (void)snprintf(p->name, sizeof p->name, "%s", name);
  va_start(dim, dims);
  for (int i = 0; i < dims; i++)
    p->dim[i] = va_arg(dim, int64_t);
  va_end(dim);
}

static void add_compressive(parts *list, const lsp_heads *h, const lsp_pattern *p) {
  const int64_t G = h->shared, E = h->width;
  add(list, "matrix", LSP_PART_F64, 3, G, E, E);
  add(list, "normalizer", LSP_PART_F64, 2, G, E);
  add(list, "matrix_sum", LSP_PART_F64, 3, G, E, E);
  add(list, "normalizer_sum", LSP_PART_F64, 2, G, E);
  if (p->delta)
    add(list, "decay_sum", LSP_PART_F64, 3, G, E, E);
}

static void add_associative(parts *list, const lsp_model *m) {
  const int64_t width = (int64_t)2 * m->wrapper.nu * m->wrapper.width;
  add(list, "matrix", LSP_PART_F64, 2, width, (int64_t)m->width);
  add(list, "normalizer", LSP_PART_F64, 1, width);
}

static void add_wrapper(parts *list, const lsp_model *m) {
  const lsp_wrapper *w = &m->wrapper;
  const int64_t again = w->kind == LSP_WRAP_INPUT ? w->rows : 0;
  add(list, "ids", LSP_PART_I32, 1, lsp_max(1, w->segment - 1 + again));
  add(list, "id_count", LSP_PART_I64, 1, (int64_t)1);
  add(list, "segments", LSP_PART_I64, 1, (int64_t)1);
  if (w->kind == LSP_WRAP_TOKENS)
    add(list, "tokens", LSP_PART_F32, 2, w->rows, (int64_t)m->width);
}

int lsp_memory_parts_of(const lsp_model *model, int layer,
                        lsp_part part[LSP_PARTS_OF_LAYER]) {
  parts list = {part, 0, layer};
  if (layer < 0) {
    if (model->wrapper.kind != LSP_WRAP_NONE && !model->two_sided)
      add_wrapper(&list, model);
    return list.n;
  }
  const lsp_layer *l = &model->layer[layer];
  for (int b = 0; b < l->branches; b++)
    if (l->branch[b].kind == LSP_PATTERN_COMPRESSIVE)
      add_compressive(&list, &l->heads, &l->branch[b]);
  if (model->wrapper.kind == LSP_WRAP_ASSOCIATIVE)
    add_associative(&list, model);
  return list.n;
}

int lsp_memory_parts(const lsp_model *model, lsp_part *part) {
  lsp_part of[LSP_PARTS_OF_LAYER];
  int n = 0;
  for (int layer = 0; layer <= model->layers; layer++) {
    const int more = lsp_memory_parts_of(model, layer < model->layers ? layer : -1, of);
    for (int i = 0; i < more && part != NULL; i++)
      part[n + i] = of[i];
    n += more;
  }
  return n;
}

int lsp_memory_first(const lsp_model *model, int layer) {
  lsp_part of[LSP_PARTS_OF_LAYER];
  int n = 0;
  for (int i = 0; i < (layer < 0 ? model->layers : layer); i++)
    n += lsp_memory_parts_of(model, i, of);
  return n;
}
