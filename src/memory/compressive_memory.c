/* Sums of outer products, and products with them. Columns are done in strips, so that what
 * a strip needs lies in the first cache; each element keeps its one chain. */
#include "lsp/compressive.h"

#include <string.h>

enum {
  STRIP = 64, /* columns at once */
  ROWS = 64,  /* rows of which values are held in double at once */
  QUERIES = LSP_COMPRESSIVE_WORK
};

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

static void add_strip(const outer *o, int64_t column, int64_t columns, double *sum) {
  double right[ROWS][STRIP], left[ROWS];
  for (int64_t j = 0; j < o->rows; j++)
    for (int64_t b = 0; b < columns; b++)
      right[j][b] = (double)o->right[j * o->ldr + column + b];
  for (int64_t a = 0; a < o->width; a++) {
    double *to = sum + a * o->width + column;
    for (int64_t j = 0; j < o->rows; j++)
      left[j] = (double)o->left[j * o->ldl + a] * (o->by != NULL ? o->by[j] : 1.0);
    for (int64_t j = 0; j < o->rows; j++)
      for (int64_t b = 0; b < columns; b++)
        to[b] += left[j] * right[j][b];
  }
}

static void add_outer(const outer *o, double *sum) {
  for (int64_t column = 0; column < o->width; column += STRIP)
    add_strip(o, column, least(STRIP, o->width - column), sum);
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
    add_outer(&o, m->matrix_sum);
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
    add_outer(&o, m->decay_sum);
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
  double lost[STRIP];
  for (int64_t column = 0; column < E; column += STRIP) {
    const int64_t n = least(STRIP, E - column);
    for (int64_t a = 0; a < E; a++) {
      double *to = m->matrix_sum + a * E + column;
      memset(lost, 0, sizeof lost);
      for (int64_t c = 0; c < E; c++)
        for (int64_t b = 0; b < n; b++)
          lost[b] += m->decay_sum[a * E + c] * m->matrix[c * E + column + b];
      for (int64_t b = 0; b < n; b++)
        to[b] -= lost[b];
    }
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

/* One strip of columns of up to QUERIES rows. */
static void read_strip(int64_t width, const float *copy, int64_t rows,
                       const double *query, int64_t column, int64_t columns,
                       double out[QUERIES][STRIP]) {
  memset(out, 0, QUERIES * sizeof out[0]);
  for (int64_t a = 0; a < width; a++) {
    const float *from = copy + a * width + column;
    for (int64_t i = 0; i < rows; i++) {
      const double q = query[i * width + a];
      for (int64_t b = 0; b < columns; b++)
        out[i][b] += q * (double)from[b];
    }
  }
}

void lsp_compressive_read(const lsp_compressive_queries *q, const float *copy,
                          double *work) {
  const int64_t E = q->width;
  const float *normalizer = copy + E * E;
  double out[QUERIES][STRIP], sum[QUERIES];
  for (int64_t first = 0; first < q->rows; first += QUERIES) {
    const int64_t n = least(QUERIES, q->rows - first);
    for (int64_t i = 0; i < n; i++) {
      sum[i] = 0;
      for (int64_t a = 0; a < E; a++) {
        work[i * E + a] = (double)q->query[(first + i) * q->ld + a];
        sum[i] += work[i * E + a] * (double)normalizer[a];
      }
      if (sum[i] < 1e-10)
        sum[i] = 1e-10;
    }
    for (int64_t column = 0; column < E; column += STRIP) {
      const int64_t columns = least(STRIP, E - column);
      read_strip(E, copy, n, work, column, columns, out);
      for (int64_t i = 0; i < n; i++)
        for (int64_t b = 0; b < columns; b++)
          q->out[(first + i) * q->ldo + column + b] = (float)(out[i][b] / sum[i]);
    }
  }
}
