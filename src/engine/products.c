/* Products with weights, by longspan's own kernel or by the BLAS library. */
#include "engine_internal.h"

#include "lsp/packing.h"

#include <omp.h>
#include <stdlib.h>

void lsp_multiply(const lsp_job *job, const lsp_matrix *w, int64_t rows, const float *x,
                  float *y, float *work) {
  if (w->storage == LSP_STORED_F32) {
    lsp_gemm(rows, w->rows, w->cols, x, w->data, y);
    return;
  }
  const lsp_packed_product p = {.x = x,
                                .w = w->data,
                                .y = y,
                                .work = work,
                                .rows = rows,
                                .cols = w->rows,
                                .depth = w->cols};
  job->kernels.packed(&p);
}

/* --- packing --------------------------------------------------------------------- */

enum { OF_A_LAYER = 10 };

/* Matrices of a layer that rows are multiplied with; NULL where it has none. */
static void matrices_of(lsp_model *m, int layer, lsp_matrix *list[OF_A_LAYER]) {
  lsp_layer *l = &m->layer[layer];
  lsp_associative *a = m->wrapper.layer != NULL ? &m->wrapper.layer[layer] : NULL;
  list[0] = &l->qkv.matrix;
  list[1] = &l->output.matrix;
  list[2] = &l->up.matrix;
  list[3] = &l->down.matrix;
  list[4] = l->position.kind == LSP_POSITION_RELATIVE ? &l->position.relative : NULL;
  list[5] = l->input_gate.rows > 0 ? &l->input_gate : NULL;
  list[6] = l->global.matrix.rows > 0 ? &l->global.matrix : NULL;
  list[7] = a != NULL ? &a->query : NULL;
  list[8] = a != NULL ? &a->key : NULL;
  list[9] = a != NULL ? &a->value : NULL;
}

/* The weights lie in a block of the run's own. */
static void pack(const float *data, int64_t rows, int64_t cols, float *work) {
  lsp_pack(rows, cols, (float *)(uintptr_t)data, work);
}

static int64_t deepest(lsp_model *m) {
  int64_t depth = lsp_max(lsp_model_head_width(m), m->last.project.cols);
  for (int i = 0; i < m->layers; i++) {
    lsp_matrix *list[OF_A_LAYER];
    matrices_of(m, i, list);
    for (int k = 0; k < OF_A_LAYER; k++)
      depth = list[k] != NULL ? lsp_max(depth, list[k]->cols) : depth;
  }
  return depth;
}

static void pack_layer(lsp_model *m, int layer, float *work) {
  lsp_matrix *list[OF_A_LAYER];
  matrices_of(m, layer, list);
  for (int k = 0; k < OF_A_LAYER; k++)
    if (list[k] != NULL)
      pack(list[k]->data, list[k]->rows, list[k]->cols, work);
}

static void mark(lsp_model *m) {
  for (int i = 0; i < m->layers; i++) {
    lsp_matrix *list[OF_A_LAYER];
    matrices_of(m, i, list);
    for (int k = 0; k < OF_A_LAYER; k++)
      if (list[k] != NULL)
        list[k]->storage = LSP_STORED_PACKED;
  }
  m->words.storage = LSP_STORED_PACKED;
  m->last.project.storage = LSP_STORED_PACKED;
}

static void pack_words(const lsp_model *m, float *work) {
  const lsp_vocabulary *v = &m->words;
  const lsp_cluster *k = &v->cluster[0];
  const lsp_matrix *project = &m->last.project;
  pack(k->out, k->rows, lsp_model_head_width(m), work);
  if (project->rows > 0)
    pack(project->data, project->rows, project->cols, work);
  if (v->clusters > 1)
    pack(v->cluster_weight, v->clusters - 1, k->width, work);
}

lsp_status lsp_pack_weights(const lsp_job *job, lsp_model *m, int fill,
                            lsp_failure *why) {
  const int64_t room = LSP_LANES * deepest(m);
  float *work = NULL;
  if (job->options->gemm != LSP_GEMM_PACKED)
    return LSP_OK;
  mark(m);
  if (!fill)
    return LSP_OK;
  work = malloc((size_t)(room * job->threads) * sizeof *work);
  if (work == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory to pack the weights");
#pragma omp parallel for schedule(dynamic) num_threads(job->threads)
  for (int i = -1; i < m->layers; i++) {
    float *mine = work + omp_get_thread_num() * room;
    if (i < 0)
      pack_words(m, mine);
    else
      pack_layer(m, i, mine);
  }
  free(work);
  return LSP_OK;
}
