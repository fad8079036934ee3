/* How fast results reach the disk, against dd with one sync at the end:
 *
 *   write_rate FOLDER [MIB]                                     default 512 MiB
 *
 * Hidden rows of width 1024 in 8 waves, each synced and committed, by all ranks; then
 * dd of as many bytes in the same folder; three times in turn, medians. */
#include "lsp/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 1024, WAVES = 8, TURNS = 3 };

static double write_store(lsp_ctx *ctx, const char *path, int64_t rows,
                          const float *data) {
  const int64_t start[] = {0, rows}, bytes[] = {rows};
  const char *const name[] = {"rows"};
  const lsp_store_spec spec = {.path = path,
                               .overwrite = 1,
                               .identity = "{}",
                               .output = {.tokens = rows,
                                          .documents = 1,
                                          .panels = WAVES,
                                          .hidden_width = WIDTH,
                                          .write_hidden = 1,
                                          .token_start = start,
                                          .n_bytes = bytes,
                                          .name = name}};
  lsp_store *store = NULL;
  lsp_store_state state = LSP_STORE_NEW;
  lsp_commit commit;
  const double begin = MPI_Wtime();
  lsp_status st = lsp_store_open(ctx, &spec, &store, &state, &commit);
  const int64_t share = rows / WAVES / ctx->size;
  for (int w = 0; w < WAVES && st == LSP_OK; w++) {
    const int64_t first = (w * ctx->size + ctx->rank) * share;
    lsp_store_rows(store, LSP_TOKENS_HIDDEN, first, share, data);
    commit.panel_end = w + 1;
    commit.token_end = (w + 1) * ctx->size * share;
    st = lsp_store_commit(store, &commit);
  }
  if (st == LSP_OK)
    st = lsp_store_finish(store);
  lsp_store_close(&store);
  if (st != LSP_OK) {
    (void)fprintf(stderr, "%s\n", ctx->why.text);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  return MPI_Wtime() - begin;
}

static double write_dd(const lsp_ctx *ctx, const char *folder, int64_t mib) {
  char command[1200];
  const double begin = MPI_Wtime();
  (void)snprintf(
      command, sizeof command,
      "dd if=/dev/zero of='%s/dd' bs=4M count=%lld conv=fdatasync 2>/dev/null", folder,
      (long long)(mib / 4));
  if (ctx->rank == 0 && system(command) != 0)
    MPI_Abort(MPI_COMM_WORLD, 1);
  LSP_MPI(MPI_Barrier(ctx->comm));
  const double seconds = MPI_Wtime() - begin;
  (void)snprintf(command, sizeof command, "%s/dd", folder);
  if (ctx->rank == 0)
    (void)unlink(command);
  return seconds;
}

static int rising(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  const int64_t mib = argc > 2 ? atoi(argv[2]) : 512;
  const char *folder = argc > 1 ? argv[1] : ".";
  const int64_t rows = mib * (1 << 20) / (WIDTH * 4);
  char path[1100];
  double store[TURNS], dd[TURNS], ratio[TURNS];
  int provided = 0;
  lsp_ctx ctx;
  LSP_MPI(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided));
  lsp_ctx_open(&ctx, MPI_COMM_WORLD);
  float *data = calloc((size_t)(rows / WAVES / ctx.size + 1) * WIDTH, sizeof *data);
  if (data == NULL)
    MPI_Abort(MPI_COMM_WORLD, 1);
  for (int64_t i = 0; i < rows / WAVES / ctx.size * WIDTH; i++)
    data[i] = (float)i;
  (void)snprintf(path, sizeof path, "%s/write_rate.h5", folder);
  for (int t = 0; t < TURNS; t++) {
    store[t] = write_store(&ctx, path, rows, data);
    dd[t] = write_dd(&ctx, folder, mib);
    ratio[t] = dd[t] / store[t];
  }
  qsort(store, TURNS, sizeof *store, rising);
  qsort(dd, TURNS, sizeof *dd, rising);
  qsort(ratio, TURNS, sizeof *ratio, rising);
  if (ctx.rank == 0) {
    printf("store_mib_per_second = %.0f\n", (double)mib / store[TURNS / 2]);
    printf("dd_mib_per_second = %.0f\n", (double)mib / dd[TURNS / 2]);
    printf("share_of_dd = %.2f\n", ratio[TURNS / 2]);
    (void)unlink(path);
  }
  free(data);
  lsp_ctx_close(&ctx);
  LSP_MPI(MPI_Finalize());
  return 0;
}
