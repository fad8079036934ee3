/* How large the next wave may be. Without --max-time: as large as the buffers allow.
 * With it the first wave is a panel a rank, which tells how long a row takes here; each
 * of the next is at most four times the one before, and of what time is left a wave
 * takes two thirds at most. Towards the end waves become small; when not even a panel a
 * rank fits, the run stops. Where waves end changes no bits (law 1). */
#include "engine_internal.h"

#include "lsp/stop.h"

/* What a wave may take longer than foretold, and what the end of a run takes. */
static const double margin = 1.5, end_seconds = 0.3;

static int64_t least_rows(const lsp_run *e) {
  return (int64_t)e->job.ctx->size * LSP_PANEL;
}

/* Of a token not far behind what is committed: where a layer looks back without end, those
 * at the end of a long text cost far more than the next ones. */
static double token_flops(const lsp_run *e) {
  enum { AHEAD = 8192 };
  const lsp_plan *plan = &e->text.plan;
  const int64_t panel = e->progress.commit.panel_end;
  if (panel >= lsp_plan_panels(plan))
    return 0;
  const int64_t f = lsp_plan_frame(plan, panel);
  const int64_t at = lsp_plan_position(plan, f, e->progress.commit.token_end) + AHEAD;
  return lsp_model_flops_per_token(&e->weights.model) +
         lsp_model_flops_of_pairs(&e->weights.model, at, at + 1);
}

/* Seconds a row: as in the last wave; before the first from the products alone, with
 * room for all else. */
static double row_seconds(const lsp_run *e) {
  if (e->job.pace.rows > 0)
    return e->job.pace.seconds / (double)e->job.pace.rows;
  return e->job.gemm_rate > 0 ? 4 * token_flops(e) / e->job.gemm_rate : 0;
}

static double seconds_left(const lsp_run *e) {
  return (double)e->job.options->max_time - (MPI_Wtime() - e->job.ctx->launched) -
         end_seconds;
}

/* 0: not even a panel a rank. */
static int64_t rows_in_time(const lsp_run *e) {
  const int64_t most = e->span.sizes.wave_rows, least = least_rows(e);
  if (e->job.options->max_time <= 0)
    return most;
  const double row = row_seconds(e), left = seconds_left(e);
  if (left < margin * row * (double)least || left <= 0)
    return 0;
  if (e->job.pace.rows == 0)
    return lsp_min(most, least);
  const double fit = row > 0 ? left / margin / row : 1e18;
  const int64_t rows = lsp_min(most, lsp_max(4 * e->job.pace.rows, least));
  return fit < (double)rows ? lsp_max((int64_t)fit, least) : rows;
}

int64_t lsp_pace_rows(lsp_run *e) {
  const int64_t mine = lsp_stop_asked() ? 0 : rows_in_time(e);
  int64_t rows = 0;
  LSP_MPI(MPI_Allreduce(&mine, &rows, 1, MPI_INT64_T, MPI_MIN, e->job.ctx->comm));
  if (e->job.pace.rows > 0)
    lsp_stop_expect((double)rows * row_seconds(e));
  return rows;
}

int lsp_pace_ends(const lsp_run *e, double seconds) {
  const int mine = lsp_stop_asked() ||
                   (e->job.options->max_time > 0 && seconds_left(e) < margin * seconds);
  int any = 0;
  LSP_MPI(MPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, e->job.ctx->comm));
  return any;
}

void lsp_pace_note(lsp_run *e, double seconds) {
  const lsp_range range = lsp_wave_taken(e);
  e->job.pace.rows = lsp_plan_rows_before(&e->text.plan, range.end) -
                     lsp_plan_rows_before(&e->text.plan, range.first);
  e->job.pace.seconds = seconds;
}

lsp_status lsp_pace_stopped(lsp_run *e) {
  const long long done = e->progress.commit.token_end,
                  all = lsp_plan_tokens(&e->text.plan);
  lsp_failure *why = &e->job.ctx->why;
  if (e->job.options->max_time <= 0 || rows_in_time(e) > 0)
    return lsp_fail(why, LSP_E_STOPPED,
                    "stopped on request after %lld of %lld tokens, all committed; to "
                    "resume, run the same command with --resume",
                    done, all);
  const double left = seconds_left(e) > 0 ? seconds_left(e) : 0;
  const double need = margin * row_seconds(e) * (double)least_rows(e);
  return lsp_fail(
      why, LSP_E_STOPPED,
      "stopped for --max-time after %lld of %lld tokens, all committed: "
      "%.1f s are left, and a panel a rank may take %.1f s; to resume, run "
      "the same command with --resume%s",
      done, all, left, need,
      e->progress.commit.token_end > e->progress.first_token ? "" : " and more time");
}
