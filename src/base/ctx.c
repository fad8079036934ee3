#include "lsp/ctx.h"

#include "lsp/text.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void abort_job(void) {
  int up = 0, down = 0;
  (void)MPI_Initialized(&up);
  (void)MPI_Finalized(&down);
  if (up && !down)
    (void)MPI_Abort(MPI_COMM_WORLD, 1);
}

/* Seconds since this process began; 0: not known. */
static double process_age(void) {
  char line[1024] = "";
  unsigned long long ticks = 0;
  struct timespec now;
  FILE *f = fopen("/proc/self/stat", "r");
  if (f == NULL || fgets(line, sizeof line, f) == NULL)
    line[0] = '\0';
  if (f != NULL)
    (void)fclose(f);
  const char *name_end = strrchr(line, ')'); /* the name may hold anything */
  if (name_end == NULL || clock_gettime(CLOCK_BOOTTIME, &now) != 0 ||
      sscanf(name_end + 1,
             " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
             "%*s %llu",
             &ticks) != 1)
    return 0;
  const double age = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec -
                     (double)ticks / (double)sysconf(_SC_CLK_TCK);
  return age > 0 ? age : 0;
}

void lsp_ctx_open(lsp_ctx *ctx, MPI_Comm comm) {
  memset(ctx, 0, sizeof *ctx);
  lsp_on_panic(abort_job);
  LSP_MPI(MPI_Comm_dup(comm, &ctx->comm));
  LSP_MPI(MPI_Comm_rank(ctx->comm, &ctx->rank));
  LSP_MPI(MPI_Comm_size(ctx->comm, &ctx->size));
  LSP_MPI(MPI_Comm_split_type(ctx->comm, MPI_COMM_TYPE_SHARED, ctx->rank, MPI_INFO_NULL,
                              &ctx->node));
  LSP_MPI(MPI_Comm_rank(ctx->node, &ctx->node_rank));
  LSP_MPI(MPI_Comm_size(ctx->node, &ctx->node_size));
  LSP_MPI(MPI_Comm_split(ctx->comm, ctx->node_rank == 0 ? 0 : MPI_UNDEFINED, ctx->rank,
                         &ctx->leaders));
  ctx->started = MPI_Wtime();
  ctx->launched = ctx->started - process_age();
}

void lsp_ctx_close(lsp_ctx *ctx) {
  if (ctx->log != NULL)
    (void)fclose(ctx->log);
  ctx->log = NULL;
  if (ctx->leaders != MPI_COMM_NULL)
    LSP_MPI(MPI_Comm_free(&ctx->leaders));
  LSP_MPI(MPI_Comm_free(&ctx->node));
  LSP_MPI(MPI_Comm_free(&ctx->comm));
}

/* Where it failed, at the end of the message, if that tells something. */
static void add_place(lsp_ctx *ctx) {
  char place[MPI_MAX_PROCESSOR_NAME + 48] = "", *text = ctx->why.text;
  char host[MPI_MAX_PROCESSOR_NAME] = "";
  int length = 0;
  const int several_hosts = ctx->node_size != ctx->size;
  if (ctx->why.agreed || text[0] == '\0' || (!several_hosts && ctx->rank == 0))
    return;
  LSP_MPI(MPI_Get_processor_name(host, &length));
  const int n = several_hosts ? snprintf(place, sizeof place, " (rank %d on host %s)",
                                         ctx->rank, host)
                              : snprintf(place, sizeof place, " (rank %d)", ctx->rank);
  const size_t end = strlen(text), last = LSP_MESSAGE_SIZE - 1 - (size_t)n;
  memcpy(text + (end < last ? end : last), place, (size_t)n + 1);
}

lsp_status lsp_agree(lsp_ctx *ctx, lsp_status status) {
  const int mine = status == LSP_OK ? ctx->size : ctx->rank;
  int first = 0;
  LSP_MPI(MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, ctx->comm));
  if (first == ctx->size)
    return LSP_OK;
  ctx->why.status = status;
  if (ctx->rank == first)
    add_place(ctx);
  ctx->why.agreed = 1;
  LSP_MPI(MPI_Bcast(&ctx->why, (int)sizeof ctx->why, MPI_BYTE, first, ctx->comm));
  return ctx->why.status;
}

int lsp_all_same(lsp_ctx *ctx, int64_t value) {
  const int64_t pair[2] = {value, -value};
  int64_t most[2];
  LSP_MPI(MPI_Allreduce(pair, most, 2, MPI_INT64_T, MPI_MAX, ctx->comm));
  return most[0] == -most[1];
}

void lsp_bcast(MPI_Comm comm, void *data, size_t bytes) {
  const size_t piece = (size_t)1 << 28;
  char *at = data;
  while (bytes > 0) {
    const size_t n = bytes < piece ? bytes : piece;
    LSP_MPI(MPI_Bcast(at, (int)n, MPI_BYTE, 0, comm));
    at += n;
    bytes -= n;
  }
}

void lsp_say(const lsp_ctx *ctx, const char *format, ...) {
  if (ctx->rank != 0)
    return;
  char said[2 * LSP_MESSAGE_SIZE], line[LSP_TEXT_GROWTH * sizeof said];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(said, sizeof said, format, arguments);
  va_end(arguments);
  (void)lsp_text_shown(said, line, sizeof line);
  (void)fprintf(stderr, "%s\n", line);
  if (ctx->log != NULL) {
    (void)fprintf(ctx->log, "%s\n", line);
    (void)fflush(ctx->log);
  }
}
