/* A wave of whole documents, committed layer by layer: two-sided models whose layers see all
 * of a document take long for one, and a kill costs a layer of it.
 *
 *   FILE.h5.layers   | header 0 | header 1 |  panel 0 of area 0, 1  |  panel 1 ...
 *                    0          512        1 MiB                          aligned MiB
 *
 * After layer l the hidden rows of every panel, with their sum, go to area l mod 2; all ranks
 * sync and agree; then the header of the area names the wave and the layer. So one of the
 * areas is whole at any moment. A panel is written by one rank, in MiB of its own; between
 * panels the file has holes.
 *
 * Rows belong to panels, so any number of ranks can resume. What cannot be read, or is of
 * another wave or model, is computed anew. */
#include "layers_done.h"

#include "lsp/sums.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { HEADER_BYTES = 512, UNIT = 1 << 20, MAGIC = 8 };
static const char magic[MAGIC + 1] = "LSPLAYER";

/* Little-endian, as all that longspan writes. */
typedef struct {
  char magic[MAGIC];
  int64_t first, end; /* panels of the wave */
  int64_t width, layers;
  unsigned char model[16];
  uint64_t sum; /* of all before it */
} header;

static header header_of(const lsp_run *e, int layers) {
  header h = {.first = e->span.wave.range.first,
              .end = e->span.wave.range.end,
              .width = e->weights.model.width,
              .layers = layers};
  memcpy(h.magic, magic, MAGIC);
  memcpy(h.model, e->weights.hash, sizeof h.model);
  h.sum = XXH3_64bits(&h, offsetof(header, sum));
  return h;
}

static int64_t slot_bytes(const lsp_run *e) {
  const int64_t row = (int64_t)e->weights.model.width * (int64_t)sizeof(float);
  return lsp_divide_up(LSP_PANEL * row + (int64_t)sizeof(uint64_t), UNIT) * UNIT;
}

/* Where a panel of the wave lies in an area: its sum, then its rows. */
static int64_t place_of(const lsp_run *e, int64_t panel, int area) {
  return UNIT + (2 * (panel - e->span.wave.range.first) + area) * slot_bytes(e);
}

static int is_asked(const lsp_run *e) {
  return lsp_sizes_whole(&e->weights.model) && e->job.write.layers == 0;
}

/* --- the file -------------------------------------------------------------------- */

static lsp_status open_file(lsp_layers_done *d, int flags, lsp_failure *why) {
  LSP_TRY(lsp_own_remnant(d->path, magic, why));
  d->fd = open(d->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0666);
  if (d->fd < 0)
    return lsp_fail(why, LSP_E_IO, "%s: cannot be opened: %s; check the folder",
                    d->path, strerror(errno));
  return LSP_OK;
}

/* The header of the area that goes further, of a wave that begins at the last commit. */
static void find_wave(lsp_run *e) {
  lsp_layers_done *d = &e->progress.layers;
  lsp_failure why = {0};
  const int64_t panels = lsp_plan_panels(&e->text.plan);
  for (int area = 0; area < 2; area++) {
    header h;
    if (lsp_read_at(d->fd, d->path, &h, sizeof h, (int64_t)area * HEADER_BYTES, &why) !=
            LSP_OK ||
        memcmp(h.magic, magic, MAGIC) != 0 ||
        h.sum != XXH3_64bits(&h, offsetof(header, sum)) ||
        memcmp(h.model, e->weights.hash, sizeof h.model) != 0 ||
        h.width != e->weights.model.width || h.first != e->progress.commit.panel_end ||
        h.end <= h.first || h.end > panels || h.layers <= d->found ||
        h.layers >= e->weights.model.layers)
      continue;
    d->found = (int)h.layers;
    d->rows = lsp_plan_rows_before(&e->text.plan, h.end) -
              lsp_plan_rows_before(&e->text.plan, h.first);
  }
}

lsp_status lsp_layers_open(lsp_run *e, lsp_store_state state) {
  lsp_layers_done *d = &e->progress.layers;
  lsp_ctx *ctx = e->job.ctx;
  int64_t found[2] = {0, 0};
  d->fd = -1;
  if (!is_asked(e))
    return LSP_OK;
  lsp_status st = lsp_store_beside(e->job.options->output, ".h5.layers", d->path,
                                   sizeof d->path, &ctx->why);
  const int fresh = state == LSP_STORE_RESUMED ? 0 : O_TRUNC;
  if (st == LSP_OK && ctx->rank == 0)
    st = open_file(d, O_CREAT | fresh, &ctx->why);
  LSP_TRY(lsp_agree(ctx, st));
  if (ctx->rank == 0) {
    find_wave(e);
    found[0] = d->found;
    found[1] = d->rows;
  } else {
    st = open_file(d, 0, &ctx->why);
  }
  LSP_TRY(lsp_agree(ctx, st));
  lsp_bcast(ctx->comm, found, sizeof found);
  d->found = (int)found[0];
  d->rows = found[1];
  if (d->rows > e->span.sizes.wave_rows) /* more than this run has room for */
    d->found = 0, d->rows = 0;
  return LSP_OK;
}

void lsp_layers_forget(const lsp_run *e) {
  char path[sizeof e->progress.layers.path];
  lsp_failure why = {0};
  if (e->job.ctx->rank == 0 && is_asked(e) &&
      lsp_store_beside(e->job.options->output, ".h5.layers", path, sizeof path, &why) ==
          LSP_OK &&
      lsp_own_remnant(path, magic, &why) == LSP_OK)
    (void)unlink(path);
}

void lsp_layers_close(lsp_run *e, int done) {
  lsp_layers_done *d = &e->progress.layers;
  if (d->path[0] == '\0' || d->fd < 0)
    return;
  (void)close(d->fd);
  d->fd = -1;
  if (done && e->job.ctx->rank == 0)
    (void)unlink(d->path);
}

int64_t lsp_layers_rows(const lsp_run *e, int64_t rows) {
  return e->progress.layers.rows > 0 ? e->progress.layers.rows : rows;
}

/* --- rows ------------------------------------------------------------------------ */

static float *rows_of(const lsp_run *e, int64_t i) {
  return e->span.x + e->span.wave.panel[i].row * e->weights.model.width;
}

static int64_t floats_of(const lsp_run *e, int64_t i) {
  return (int64_t)e->span.wave.panel[i].rows * e->weights.model.width;
}

/* Of the rows of a panel after so many layers: an area that a later process has begun to
 * write anew is not taken for what its header says. */
static uint64_t sum_of(const lsp_run *e, int64_t i, int layers) {
  return lsp_sum_hidden(rows_of(e, i), floats_of(e, i)) + (uint64_t)layers;
}

static lsp_status write_panel(lsp_run *e, int64_t i, int layers) {
  const lsp_layers_done *d = &e->progress.layers;
  lsp_failure *why = &e->job.ctx->why;
  const int64_t at = place_of(e, e->span.wave.span.first + i, (layers - 1) % 2);
  const int64_t n = floats_of(e, i);
  const uint64_t sum = sum_of(e, i, layers);
  LSP_TRY(lsp_write_at(d->fd, d->path, &sum, sizeof sum, at, why));
  return lsp_write_at(d->fd, d->path, rows_of(e, i), n * (int64_t)sizeof(float),
                      at + (int64_t)sizeof sum, why);
}

static lsp_status read_panel(lsp_run *e, int64_t i, int layers, lsp_failure *why) {
  const lsp_layers_done *d = &e->progress.layers;
  const int64_t at = place_of(e, e->span.wave.span.first + i, (layers - 1) % 2);
  const int64_t n = floats_of(e, i);
  uint64_t sum = 0;
  LSP_TRY(lsp_read_at(d->fd, d->path, &sum, sizeof sum, at, why));
  LSP_TRY(lsp_read_at(d->fd, d->path, rows_of(e, i), n * (int64_t)sizeof(float),
                      at + (int64_t)sizeof sum, why));
  return sum == sum_of(e, i, layers) ? LSP_OK : LSP_E_FORMAT;
}

int lsp_layers_load(lsp_run *e) {
  lsp_layers_done *d = &e->progress.layers;
  lsp_failure why = {0};
  const int found = d->found;
  int whole = 1, all = 0;
  d->found = 0;
  d->rows = 0;
  if (found == 0)
    return 0;
  for (int64_t i = 0; i < e->span.wave.panels && whole; i++)
    whole = read_panel(e, i, found, &why) == LSP_OK;
  LSP_MPI(MPI_Allreduce(&whole, &all, 1, MPI_INT, MPI_MIN, e->job.ctx->comm));
  if (all)
    lsp_say(e->job.ctx, "longspan: resumed after layer %d of %d of this wave", found,
            e->weights.model.layers);
  return all ? found : 0;
}

/* What is not finite is found again where it first shows: such a wave is not kept. */
static int is_finite_everywhere(const lsp_run *e) {
  int mine = e->span.lowest.token == INT64_MAX, all = 0;
  LSP_MPI(MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MIN, e->job.ctx->comm));
  return all;
}

lsp_status lsp_layers_commit(lsp_run *e, int layer) {
  const lsp_layers_done *d = &e->progress.layers;
  lsp_ctx *ctx = e->job.ctx;
  const int area = layer % 2;
  lsp_status st = LSP_OK;
  if (d->fd < 0 || layer + 1 == e->weights.model.layers || !is_finite_everywhere(e))
    return LSP_OK;
  const double begin = MPI_Wtime();
  lsp_beat_phase("committing a layer", layer);
  for (int64_t i = 0; i < e->span.wave.panels && st == LSP_OK; i++)
    st = write_panel(e, i, layer + 1);
  if (st == LSP_OK)
    st = lsp_sync_file(d->fd, d->path, &ctx->why);
  LSP_TRY(lsp_agree(ctx, st));
  if (ctx->rank == 0) {
    const header h = header_of(e, layer + 1);
    st = lsp_write_at(d->fd, d->path, &h, sizeof h, (int64_t)area * HEADER_BYTES,
                      &ctx->why);
    if (st == LSP_OK)
      st = lsp_sync_file(d->fd, d->path, &ctx->why);
  }
  LSP_TRY(lsp_agree(ctx, st));
  e->job.clock.seconds[LSP_PHASE_COMMIT] += MPI_Wtime() - begin;
  return LSP_OK;
}
