/* What one branch of a layer shows, in words. */
#include "cli.h"
#include "model_words.h"

#include <math.h>
#include <string.h>

enum { WINDOWS_SAID = 6 };

/* --- windows, memories, first positions ------------------------------------------ */

/* What a head of a branch has as its window. */
static int64_t window_of(const lsp_layer *l, const lsp_pattern *p, int head) {
  return p->kind == LSP_PATTERN_DYNAMIC ? lsp_words_span(l, p, head)
                                        : lsp_window_of(p, head);
}

int64_t lsp_words_span(const lsp_layer *l, const lsp_pattern *p, int head) {
  return l->span == NULL ? p->window : (int64_t)ceilf(lsp_layer_span(l, p, head));
}

/* "8 (heads 0, 1), 64 (head 2)" */
static void list_windows(const lsp_layer *l, const lsp_pattern *p, char *text,
                         size_t size) {
  const int heads = l->heads.query;
  char number[LSP_NUMBER_SIZE];
  for (int h = 0, end; h < heads; h = end) {
    for (end = h + 1; end < heads && window_of(l, p, end) == window_of(l, p, h);)
      end++;
    lsp_words_add(text, size, "%s%s (head%s %d", h > 0 ? ", " : "",
                  lsp_grouped(window_of(l, p, h), number), end > h + 1 ? "s" : "", h);
    if (end > h + 1)
      lsp_words_add(text, size, end > h + 2 ? " to %d" : ", %d", end - 1);
    lsp_words_add(text, size, ")");
  }
}

/* Heads in a row with one window are told as one. */
static void add_windows(const lsp_layer *l, const lsp_pattern *p, char *text,
                        size_t size) {
  char number[LSP_NUMBER_SIZE];
  int64_t least = INT64_MAX, most = 0;
  int runs = 0;
  for (int h = 0; h < l->heads.query; h++) {
    runs += h == 0 || window_of(l, p, h) != window_of(l, p, h - 1);
    least = lsp_min(least, window_of(l, p, h));
    most = lsp_max(most, window_of(l, p, h));
  }
  if (runs <= 1) {
    lsp_words_add(text, size, "a window of %s", lsp_grouped(least, number));
  } else if (runs > WINDOWS_SAID) {
    lsp_words_add(text, size, "windows of %s", lsp_grouped(least, number));
    lsp_words_add(text, size, " to %s, by head", lsp_grouped(most, number));
  } else {
    lsp_words_add(text, size, "windows of ");
    list_windows(l, p, text, size);
  }
  if (p->two_sided)
    lsp_words_add(text, size, " to each side");
}

static void add_recurrence(const lsp_pattern *p, char *text, size_t size) {
  char segment[LSP_NUMBER_SIZE], memory[LSP_NUMBER_SIZE];
  (void)lsp_grouped(p->segment, segment);
  (void)lsp_grouped(p->memory, memory);
  if (p->same_length)
    lsp_words_add(text, size, "the last %s position%s", memory,
                  p->memory == 1 ? "" : "s");
  else if (p->memory == 0)
    lsp_words_add(text, size, "segments of %s without a memory", segment);
  else
    lsp_words_add(text, size, "segments of %s with a memory of %s", segment, memory);
}

static void add_fixed(const lsp_pattern *p, char *text, size_t size) {
  char number[LSP_NUMBER_SIZE];
  if (p->sinks == 1)
    lsp_words_add(text, size, "the first position");
  else
    lsp_words_add(text, size, "the first %s positions", lsp_grouped(p->sinks, number));
  if (p->in_window)
    lsp_words_add(text, size, " (as if just before the window)");
}

/* --- rows that all see ----------------------------------------------------------- */

static void add_global(const lsp_pattern *p, char *text, size_t size) {
  char number[LSP_NUMBER_SIZE], last[LSP_NUMBER_SIZE];
  if (p->positions == NULL)
    add_fixed(p, text, size);
  else if (p->position_count == 1)
    lsp_words_add(text, size, "position %s", lsp_grouped(p->positions[0], number));
  else
    lsp_words_add(text, size, "%d positions from %s to %s", p->position_count,
                  lsp_grouped(p->positions[0], number),
                  lsp_grouped(p->positions[p->position_count - 1], last));
  lsp_words_add(text, size, ", which %s every position%s%s",
                p->sinks == 1 || p->position_count == 1 ? "sees" : "see",
                p->two_sided ? "" : " before",
                p->own_projections ? " by projections of their own" : "");
}

/* --- blocks that are picked ------------------------------------------------------ */

/* "100 before", "100 to each side but for the nearest 2" */
static void add_candidates(const lsp_pattern *p, char *text, size_t size) {
  char number[LSP_NUMBER_SIZE];
  lsp_words_add(text, size, "%s %s", lsp_grouped(p->block_reach, number),
                p->two_sided ? "to each side" : "before it");
  if (p->beyond > 0)
    lsp_words_add(text, size, " but for the nearest%s%s", p->beyond == 1 ? "" : " ",
                  p->beyond == 1 ? "" : lsp_grouped(p->beyond, number));
}

static void add_random(const lsp_pattern *p, char *text, size_t size) {
  lsp_words_add(text, size, "%d block%s of %d drawn from the ", p->blocks,
                p->blocks == 1 ? "" : "s", LSP_GRID_BLOCK);
  add_candidates(p, text, size);
}

static void add_chosen(const lsp_pattern *p, char *text, size_t size) {
  lsp_words_add(text, size, "its block of %d and the best ", LSP_GRID_BLOCK);
  if (p->blocks > 1)
    lsp_words_add(text, size, "%d ", p->blocks);
  lsp_words_add(text, size, "of the ");
  add_candidates(p, text, size);
}

static void add_selected(const lsp_pattern *p, char *text, size_t size) {
  lsp_words_add(text, size, "its block of %d", LSP_GRID_BLOCK);
  if (p->blocks == 2)
    lsp_words_add(text, size, " and the one before it that the means weigh most");
  else if (p->blocks > 2)
    lsp_words_add(text, size, " and the %d before it that the means weigh most",
                  p->blocks - 1);
}

/* --- means ----------------------------------------------------------------------- */

int64_t lsp_words_far(const lsp_pattern *p) {
  int64_t far = p->window, rows = p->window;
  if (p->kind == LSP_PATTERN_COMPRESSED)
    return p->block_reach == 0 ? LSP_REACH_ALL : p->block_reach * p->pool;
  if (p->kind == LSP_PATTERN_COMPRESSED_PAST)
    return p->block_reach == 0 ? LSP_REACH_ALL
                               : p->block_reach * p->pool + p->memory + p->segment - 1;
  for (int l = 0; l < p->levels; l++)
    if (__builtin_mul_overflow(rows, p->pool, &rows) ||
        __builtin_add_overflow(far, rows, &far))
      return INT64_MAX;
  return far;
}

static void add_compressed(const lsp_pattern *p, char *text, size_t size) {
  char number[LSP_NUMBER_SIZE];
  if (p->block_reach == 0)
    lsp_words_add(text, size, "means of %d positions, all before", p->pool);
  else
    lsp_words_add(text, size, "the last %s means of %d positions",
                  lsp_grouped(p->block_reach, number), p->pool);
}

static void add_levels(const lsp_pattern *p, char *text, size_t size) {
  char number[LSP_NUMBER_SIZE];
  lsp_words_add(text, size, "a window of %s and before it %d level%s of as many means",
                lsp_grouped(p->window, number), p->levels, p->levels == 1 ? "" : "s");
  lsp_words_add(text, size, " of %d, back over %s positions", p->pool,
                lsp_grouped(lsp_words_far(p), number));
}

/* --- memories -------------------------------------------------------------------- */

static void add_learned(const lsp_pattern *p, char *text, size_t size) {
  char number[LSP_NUMBER_SIZE];
  lsp_words_add(text, size, "%s learned slot%s", lsp_grouped(p->slots, number),
                p->slots == 1 ? "" : "s");
}

static void add_store(const lsp_pattern *p, char *text, size_t size) {
  char number[LSP_NUMBER_SIZE];
  if (p->neighbours == 1)
    lsp_words_add(text, size, "the best of ");
  else
    lsp_words_add(text, size, "the best %d of ", p->neighbours);
  if (p->memory > 0)
    lsp_words_add(text, size, "the %s positions", lsp_grouped(p->memory, number));
  else
    lsp_words_add(text, size, "all positions");
  lsp_words_add(text, size, " before its segment of %s",
                lsp_grouped(p->segment, number));
  if (p->cosine)
    lsp_words_add(text, size, " by cosine");
  if (p->rotated)
    lsp_words_add(text, size, " (keys as turned)");
}

static void add_compressed_past(const lsp_pattern *p, char *text, size_t size) {
  char number[LSP_NUMBER_SIZE];
  if (p->block_reach > 0)
    lsp_words_add(text, size, "the last %s ", lsp_grouped(p->block_reach, number));
  lsp_words_add(text, size, "%s of %d positions that have left the memory",
                p->convolved ? "convolutions" : "means", p->pool);
}

static void add_compressive(const lsp_pattern *p, char *text, size_t size) {
  char number[LSP_NUMBER_SIZE];
  lsp_words_add(text, size, "a matrix of all segments of %s before",
                lsp_grouped(p->segment, number));
  if (p->delta)
    lsp_words_add(text, size, " (delta rule)");
}

/* --- all of them ----------------------------------------------------------------- */

/* The spans are in the weights. */
static void add_dynamic(const lsp_layer *l, const lsp_pattern *p, char *text,
                        size_t size) {
  char number[LSP_NUMBER_SIZE];
  if (l->span == NULL)
    lsp_words_add(text, size, "a window as long as each head has learned, up to %s",
                  lsp_grouped(p->window, number));
  else
    add_windows(l, p, text, size);
  lsp_words_add(
      text, size, "%s, that end%s over %s", l->span == NULL ? "" : " as learned",
      l->span == NULL || l->heads.query == 1 ? "s" : "", lsp_grouped(p->ramp, number));
  lsp_words_add(text, size, " more");
}

static void add_full(const lsp_pattern *p, char *text, size_t size) {
  lsp_words_add(text, size, "every position%s", p->two_sided ? "" : " before");
}

typedef void add_words(const lsp_pattern *p, char *text, size_t size);

void lsp_words_add_branch(const lsp_layer *layer, int branch, char *text, size_t size) {
  static add_words *const words[LSP_PATTERNS] = {
      [LSP_PATTERN_FULL] = add_full,
      [LSP_PATTERN_FIXED] = add_fixed,
      [LSP_PATTERN_RECURRENCE] = add_recurrence,
      [LSP_PATTERN_GLOBAL] = add_global,
      [LSP_PATTERN_RANDOM] = add_random,
      [LSP_PATTERN_CHOSEN] = add_chosen,
      [LSP_PATTERN_COMPRESSED] = add_compressed,
      [LSP_PATTERN_SELECTED] = add_selected,
      [LSP_PATTERN_LEVELS] = add_levels,
      [LSP_PATTERN_LEARNED] = add_learned,
      [LSP_PATTERN_STORE] = add_store,
      [LSP_PATTERN_COMPRESSED_PAST] = add_compressed_past,
      [LSP_PATTERN_COMPRESSIVE] = add_compressive,
  };
  const lsp_pattern *p = &layer->branch[branch];
  if (p->kind == LSP_PATTERN_LOCAL)
    add_windows(layer, p, text, size);
  else if (p->kind == LSP_PATTERN_DYNAMIC)
    add_dynamic(layer, p, text, size);
  else
    words[p->kind](p, text, size);
  if (p->normalize == LSP_NORMALIZE_NONE)
    lsp_words_add(text, size, " (without a softmax)");
}

void lsp_words_branch(const lsp_layer *layer, int branch, char *text, size_t size) {
  text[0] = '\0';
  lsp_words_add_branch(layer, branch, text, size);
}
