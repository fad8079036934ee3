/* Pooled rows that leave the run and come back. Who has a row when a wave is done writes
 * it: a rank whose span has its last position, to every snapshot that wants it; to the
 * slot, whose rows are those that the next wave looks back to, the rank that keeps it.
 * What must hold: all pooled rows of a snapshot and of the slot are written once, those
 * that do not exist as zeros, by who has the snapshot's last token, or by rank 0. */
#include "strata_memory.h"

#include "strata.h"

#include <string.h>

/* --- where rows go --------------------------------------------------------------- */

/* Rows of one stratum in a snapshot, or in the slot, of a layer. */
typedef struct {
  int64_t at;    /* of the first one, among the fixed rows */
  int64_t rows;  /* without that of the unit which is not whole */
  int64_t whole; /* rows of the stratum before the position */
  int cut;       /* there is one more row */
} region;

/* all: pooled rows of a layer of the file. */
static region region_of(const lsp_run *e, int layer, int s, int64_t position,
                        int64_t all) {
  const lsp_model *m = &e->weights.model;
  const lsp_stratum_sizes *z = &e->span.layer[layer].stratum[s];
  return (region){lsp_sizes_fixed(m) + lsp_sizes_pooled_at(m, layer, s, all),
                  lsp_sizes_pooled_rows(m, layer, s, all), position / z->grain.unit,
                  z->is.below < 0};
}

static region region_here(const lsp_run *e, int layer, int s, int64_t position) {
  return region_of(e, layer, s, position, e->span.sizes.pooled_rows);
}

/* First row that is wanted. */
static int64_t first_of(const region *r) {
  return lsp_max(0, r->whole - r->rows);
}

/* Where a row of the stratum goes. */
static int64_t place_of(const region *r, int64_t row) {
  return r->at + r->rows - (r->whole - row);
}

/* Rows that lie side by side; NULL: zeros. */
static void write_rows(lsp_run *e, int64_t snapshot, int layer, int64_t at, int64_t n,
                       const float *row) {
  const int64_t K = e->span.layer[layer].pooled / 2;
  float *keys = e->span.memory_rows, *values = keys + LSP_PANEL * K;
  if (row == NULL)
    memset(keys, 0, (size_t)((int64_t)2 * LSP_PANEL * K) * sizeof(float));
  for (int64_t done = 0, some; done < n; done += some) {
    some = lsp_min(n - done, LSP_PANEL);
    for (int64_t i = 0; row != NULL && i < some; i++, row += 2 * K) {
      memcpy(keys + i * K, row, (size_t)K * sizeof(float));
      memcpy(values + i * K, row + K, (size_t)K * sizeof(float));
    }
    lsp_store_fixed(e->progress.store, snapshot, layer, at + done, some, keys, values);
  }
}

/* Rows that do not exist: from before the beginning, and behind those of all strata. The
 * sums of a unit that is not whole: where the position cuts none. */
static void write_zeros(lsp_run *e, int64_t snapshot, int layer, int64_t position) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  const int64_t fixed = e->span.sizes.fixed_rows;
  int64_t end = fixed;
  for (int s = 0; s < y->strata; s++) {
    const region r = region_here(e, layer, s, position);
    write_rows(e, snapshot, layer, r.at, lsp_max(0, r.rows - r.whole), NULL);
    if (r.cut && position % y->stratum[s].grain.unit == 0)
      write_rows(e, snapshot, layer, r.at + r.rows, 1, NULL);
    end = r.at + r.rows + r.cut;
  }
  write_rows(e, snapshot, layer, end, fixed + e->span.sizes.pooled_rows - end, NULL);
}

/* --- to snapshots ---------------------------------------------------------------- */

void lsp_strata_save_cut(lsp_run *e, int layer, int stratum, int64_t stop,
                         const float *row) {
  const region r = region_here(e, layer, stratum, e->text.stop[stop].position);
  const float *values = row + e->span.layer[layer].pooled / 2;
#pragma omp critical(lsp_strata_save_cut)
  lsp_store_fixed(e->progress.store, stop, layer, r.at + r.rows, 1, row, values);
}

/* Rows [first, end) of a stratum of a piece, as far as a snapshot wants them. Returns 0 if
 * neither this snapshot nor a later one wants any. */
static int save_stratum(lsp_run *e, int layer, int s, const lsp_piece *piece,
                        int64_t stop) {
  const int64_t unit = e->span.layer[layer].stratum[s].grain.unit;
  const region r = region_here(e, layer, s, e->text.stop[stop].position);
  const int64_t first = lsp_max(piece->start / unit, first_of(&r));
  const int64_t end = lsp_min(piece->end / unit, r.whole);
  if (first < end)
    write_rows(e, stop, layer, place_of(&r, first), end - first,
               lsp_stratum_row(e, layer, s, piece, first));
  return first_of(&r) < piece->end / unit;
}

void lsp_strata_save_piece(lsp_run *e, int layer, const lsp_piece *piece) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  if (e->span.sizes.pooled_rows == 0)
    return;
  int wanted = 1;
  for (int64_t stop = lsp_snapshot_after(e, piece->frame, piece->first);
       stop < e->text.stops && e->text.stop[stop].document == piece->frame && wanted;
       stop++) {
    const int64_t position = e->text.stop[stop].position;
    wanted = position <= piece->end;
    if (wanted)
      write_zeros(e, stop, layer, position);
    for (int s = 0; s < y->strata; s++)
      wanted = save_stratum(e, layer, s, piece, stop) || wanted;
  }
}

/* Rows [first, end) of the ring, as far as this rank keeps them, group by group. */
static void save_ring(lsp_run *e, int layer, int s, int64_t snapshot, const region *r,
                      int64_t end) {
  const lsp_grain g = e->span.layer[layer].stratum[s].grain;
  for (int64_t row = first_of(r), next; row < end; row = next) {
    next = lsp_min(end, (row / g.group + 1) * g.group);
    if (lsp_grain_rank(g, row, e->job.ctx->size) == e->job.ctx->rank)
      write_rows(e, snapshot, layer, place_of(r, row), next - row,
                 lsp_stratum_kept(e, layer, s, row));
  }
}

void lsp_strata_save_kept(lsp_run *e, int layer) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  for (int s = 0; s < y->strata; s++)
    for (int64_t stop = 0; stop < e->text.stops && e->text.stop[stop].document == 0;
         stop++) {
      const region r = region_here(e, layer, s, e->text.stop[stop].position);
      save_ring(e, layer, s, stop, &r,
                lsp_grain_past(&e->text.plan, y->stratum[s].grain, 0, 0).end);
    }
}

void lsp_strata_save_slot(lsp_run *e, int layer, int64_t border) {
  const lsp_layer_sizes *y = &e->span.layer[layer];
  if (e->span.sizes.pooled_rows == 0)
    return;
  for (int s = 0; s < y->strata; s++) {
    const region r = region_here(e, layer, s, border);
    save_ring(e, layer, s, LSP_STORE_SLOT, &r, r.whole);
  }
  if (e->job.ctx->rank == 0) {
    const int64_t fixed = lsp_min(e->span.sizes.fixed_rows, border);
    write_rows(e, LSP_STORE_SLOT, layer, fixed, e->span.sizes.fixed_rows - fixed, NULL);
    write_zeros(e, LSP_STORE_SLOT, layer, border);
  }
}

/* --- reading --------------------------------------------------------------------- */

typedef struct {
  lsp_run *e;
  const lsp_file_view *file;
  int layer;
} source;

/* Rows from `at` of the fixed ones on, n of them, to rows that lie side by side. */
static lsp_status read_rows(const source *f, int64_t at, int64_t n, float *row) {
  const int64_t K = f->e->span.layer[f->layer].pooled / 2;
  float *keys = f->e->span.memory_rows, *values = keys + LSP_PANEL * K;
  for (int64_t done = 0, some; done < n; done += some) {
    some = lsp_min(n - done, LSP_PANEL);
    LSP_TRY(lsp_snapshot_read_fixed(f->e, f->file, f->layer, at + done, some, keys,
                                    values));
    for (int64_t i = 0; i < some; i++, row += 2 * K) {
      memcpy(row, keys + i * K, (size_t)K * sizeof(float));
      memcpy(row + K, values + i * K, (size_t)K * sizeof(float));
    }
  }
  return LSP_OK;
}

/* What the file does not have is looked at by nobody, and stays zero. */
static lsp_status load_stratum(const source *f, int s, const region *r,
                               int64_t border) {
  lsp_run *e = f->e;
  const lsp_grain g = e->span.layer[f->layer].stratum[s].grain;
  const int64_t end = border / g.unit;
  const int64_t back = end - e->span.layer[f->layer].stratum[s].reach;
  for (int64_t row = lsp_max(back, first_of(r)), next; row < end; row = next) {
    next = lsp_min(end, (row / g.group + 1) * g.group);
    if (lsp_grain_rank(g, row, e->job.ctx->size) == e->job.ctx->rank)
      LSP_TRY(read_rows(f, place_of(r, row), next - row,
                        lsp_stratum_kept(e, f->layer, s, row)));
  }
  if (f->file == NULL || e->job.ctx->rank != 0 || e->span.sizes.strata_opening == 0)
    return LSP_OK;
  const int64_t first = lsp_max(end, first_of(r));
  if (first < r->whole)
    LSP_TRY(read_rows(f, place_of(r, first), r->whole - first,
                      lsp_stratum_opening(e, f->layer, s, first)));
  return r->cut ? read_rows(f, r->at + r->rows, 1, lsp_stratum_begun(e, f->layer, s))
                : LSP_OK;
}

lsp_status lsp_strata_load(lsp_run *e, const lsp_file_view *file, int layer,
                           int64_t position, int64_t border) {
  const source f = {e, file, layer};
  const int64_t all = file != NULL ? file->memory.pooled : e->span.sizes.pooled_rows;
  for (int s = 0; s < e->span.layer[layer].strata; s++) {
    const region r = region_of(e, layer, s, position, all);
    LSP_TRY(load_stratum(&f, s, &r, border));
  }
  return LSP_OK;
}
