/* Sums of outer products, and products with them. Columns are done in strips, so that what
 * a strip needs lies in the first cache; each element keeps its one chain. */
#include "lsp/compressive.h"

#include <string.h>

enum { STRIP = LSP_BLOCK, ROWS = LSP_BLOCK }; /* columns, rows at once */

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

void lsp_compressive_begin(const lsp_compressive *m) {
  const size_t square = (size_t)(m->width * m->width) * sizeof(double);
  const size_t row = (size_t)m->width * sizeof(double);
  memset(m->matrix, 0, square);
  memset(m->normalizer, 0, row);
  memset(m->matrix_sum, 0, square);
  memset(m->normalizer_sum, 0, row);
  if (m->decay_sum != NULL)
    memset(m->decay_sum, 0, square);
}

/* --- sums ------------------------------------------------------------------------ */

/* sum (E, E) += left_j right_j^T for ROWS rows at most: left (rows, E) scaled by `by`
 * (rows), right (rows, E). */
typedef struct {
  const float *left, *right;
  int64_t ldl, ldr, rows, width;
  const double *by; /* NULL: ones */
} outer;

static void add_strip(const outer *o, int64_t column, int64_t columns,
                      const lsp_kernels *k, double *sum) {
  double right[ROWS][STRIP], left[ROWS][ROWS];
  for (int64_t j = 0; j < o->rows; j++)
    for (int64_t b = 0; b < columns; b++)
      right[j][b] = (double)o->right[j * o->ldr + column + b];
  for (int64_t a = 0; a < o->width; a += ROWS) {
    const int64_t n = least(ROWS, o->width - a);
    for (int64_t j = 0; j < o->rows; j++)
      for (int64_t i = 0; i < n; i++)
        left[i][j] =
            (double)o->left[j * o->ldl + a + i] * (o->by != NULL ? o->by[j] : 1.0);
    const lsp_double_product p = {.a = left[0],
                                  .b = right[0],
                                  .sum = sum + a * o->width + column,
                                  .lda = ROWS,
                                  .ldb = STRIP,
                                  .lds = o->width,
                                  .depth = o->rows,
                                  .rows = (int)n,
                                  .cols = (int)columns};
    k->product_double(&p);
  }
}

static void add_outer(const outer *o, const lsp_kernels *k, double *sum) {
  for (int64_t column = 0; column < o->width; column += STRIP)
    add_strip(o, column, least(STRIP, o->width - column), k, sum);
}

void lsp_compressive_absorb_sums(const lsp_compressive *m,
                                 const lsp_compressive_rows *rows) {
  for (int64_t first = 0; first < rows->rows; first += ROWS) {
    const int64_t n = least(ROWS, rows->rows - first);
    const float *key = rows->key + first * rows->ldk;
    const outer o = {.left = key,
                     .right = rows->value + first * rows->ldv,
                     .ldl = rows->ldk,
                     .ldr = rows->ldv,
                     .rows = n,
                     .width = m->width};
    add_outer(&o, m->kernels, m->matrix_sum);
    for (int64_t j = 0; j < n; j++)
      for (int64_t a = 0; a < m->width; a++)
        m->normalizer_sum[a] += (double)key[j * rows->ldk + a];
  }
}

/* 1 / max(s(k) . z, 1e-10) */
static double weight_of(const lsp_compressive *m, const float *key) {
  double dot = 0;
  for (int64_t a = 0; a < m->width; a++)
    dot += (double)key[a] * m->normalizer[a];
  return 1 / (dot < 1e-10 ? 1e-10 : dot);
}

void lsp_compressive_absorb_decay(const lsp_compressive *m,
                                  const lsp_compressive_rows *rows) {
  double by[ROWS];
  for (int64_t first = 0; first < rows->rows && m->decay_sum != NULL; first += ROWS) {
    const int64_t n = least(ROWS, rows->rows - first);
    const float *key = rows->key + first * rows->ldk;
    for (int64_t j = 0; j < n; j++)
      by[j] = weight_of(m, key + j * rows->ldk);
    const outer o = {.left = key,
                     .right = key,
                     .ldl = rows->ldk,
                     .ldr = rows->ldk,
                     .rows = n,
                     .width = m->width,
                     .by = by};
    add_outer(&o, m->kernels, m->decay_sum);
  }
}

void lsp_compressive_absorb(const lsp_compressive *m,
                            const lsp_compressive_rows *rows) {
  lsp_compressive_absorb_sums(m, rows);
  lsp_compressive_absorb_decay(m, rows);
}

/* --- the end of a segment -------------------------------------------------------- */

/* U - A M in place of U. */
static void subtract_decay(const lsp_compressive *m) {
  const int64_t E = m->width;
  double lost[ROWS][STRIP];
  for (int64_t column = 0; column < E; column += STRIP)
    for (int64_t a = 0; a < E; a += ROWS) {
      const int64_t columns = least(STRIP, E - column), rows = least(ROWS, E - a);
      const lsp_double_product p = {.a = m->decay_sum + a * E,
                                    .b = m->matrix + column,
                                    .sum = lost[0],
                                    .lda = E,
                                    .ldb = E,
                                    .lds = STRIP,
                                    .depth = E,
                                    .rows = (int)rows,
                                    .cols = (int)columns};
      memset(lost, 0, sizeof lost);
      m->kernels->product_double(&p);
      for (int64_t i = 0; i < rows; i++)
        for (int64_t b = 0; b < columns; b++)
          m->matrix_sum[(a + i) * E + column + b] -= lost[i][b];
    }
}

static void add_and_clear(int64_t n, double *to, double *sum) {
  for (int64_t i = 0; i < n; i++) {
    to[i] += sum[i];
    sum[i] = 0;
  }
}

void lsp_compressive_close(const lsp_compressive *m) {
  const int64_t square = m->width * m->width;
  if (m->decay_sum != NULL) {
    subtract_decay(m);
    memset(m->decay_sum, 0, (size_t)square * sizeof(double));
  }
  add_and_clear(square, m->matrix, m->matrix_sum);
  add_and_clear(m->width, m->normalizer, m->normalizer_sum);
}

/* --- reading --------------------------------------------------------------------- */

void lsp_compressive_copy(const lsp_compressive *m, float *copy) {
  const int64_t square = m->width * m->width;
  for (int64_t i = 0; i < square; i++)
    copy[i] = (float)m->matrix[i];
  for (int64_t a = 0; a < m->width; a++)
    copy[square + a] = (float)m->normalizer[a];
}

/* Queries in double, and s(q) . z of each. */
static void take_queries(const lsp_compressive_queries *q, int64_t first, int64_t n,
                         const float *normalizer, double *query, double *sum) {
  for (int64_t i = 0; i < n; i++) {
    sum[i] = 0;
    for (int64_t a = 0; a < q->width; a++) {
      query[i * q->width + a] = (double)q->query[(first + i) * q->ld + a];
      sum[i] += query[i * q->width + a] * (double)normalizer[a];
    }
    if (sum[i] < 1e-10)
      sum[i] = 1e-10;
  }
}

/* Columns of up to ROWS rows: out = s(q) M. */
static void read_strip(const lsp_compressive_queries *q, const float *copy, int64_t n,
                       const double *query, int64_t column, double out[ROWS][STRIP]) {
  const int64_t E = q->width, columns = least(STRIP, E - column);
  double part[ROWS][STRIP];
  memset(out, 0, ROWS * sizeof out[0]);
  for (int64_t a = 0; a < E; a += ROWS) {
    const int64_t depth = least(ROWS, E - a);
    for (int64_t c = 0; c < depth; c++)
      for (int64_t b = 0; b < columns; b++)
        part[c][b] = (double)copy[(a + c) * E + column + b];
    const lsp_double_product p = {.a = query + a,
                                  .b = part[0],
                                  .sum = out[0],
                                  .lda = E,
                                  .ldb = STRIP,
                                  .lds = STRIP,
                                  .depth = depth,
                                  .rows = (int)n,
                                  .cols = (int)columns};
    q->kernels->product_double(&p);
  }
}

void lsp_compressive_read(const lsp_compressive_queries *q, const float *copy,
                          double *work) {
  const int64_t E = q->width;
  double out[ROWS][STRIP], sum[ROWS];
  for (int64_t first = 0; first < q->rows; first += ROWS) {
    const int64_t n = least(ROWS, q->rows - first);
    take_queries(q, first, n, copy + E * E, work, sum);
    for (int64_t column = 0; column < E; column += STRIP) {
      const int64_t columns = least(STRIP, E - column);
      read_strip(q, copy, n, work, column, out);
      for (int64_t i = 0; i < n; i++)
        for (int64_t b = 0; b < columns; b++)
          q->out[(first + i) * q->ldo + column + b] = (float)(out[i][b] / sum[i]);
    }
  }
}
