/* What memory is made of, and what is kept: the numbers that both ways to say an estimate
 * share. */
#include "estimate.h"

#include "model_words.h"

#include "lsp/attend.h"

static int64_t floats(int64_t n) {
  return n * (int64_t)sizeof(float);
}

int lsp_plan_rank_parts(const plan_estimate *e, plan_part part[LSP_PLAN_PARTS]) {
  const lsp_sizes *z = &e->sizes;
  const plan_part all[] = {
      {"hidden_states", "hidden states x", floats(z->x)},
      {"queries", "queries q", floats(z->q)},
      {"keys_values", "keys and values of the span", floats(z->tiles)},
      {"borrowed", "keys and values borrowed", floats(z->halo + z->fixed)},
      {"kept", "keys and values kept from wave to wave",
       floats(z->rings + z->kept_fixed) - z->scratch_bytes},
      {"waiting", "rows that wait for those ahead, and that change ranks",
       floats(z->waiting + 2 * z->moved)},
      {"global_rows", "what global rows ask and see",
       floats(z->globals + z->global_q + z->global_tiles + z->global_rows)},
      {"pooled_rows", "pooled rows", floats(z->strata + z->strata_rings)},
      {"fetched_blocks", "fetched blocks", floats(z->picked)},
      {"choices", "blocks that queries chose", floats(z->choices)},
      {"nearest", "what a store found for queries",
       floats(z->nearest + z->found + z->recalled)},
      {"turned", "keys as they are turned beside a store", floats(z->turned)},
      {"compressing", "matrices of the segments of a span", floats(z->compressing)},
      {"states", "states that are handed along", floats(z->states)},
      {"gates", "gates of tokens", floats(z->gates)},
      {"partial_results", "results of attention in several rounds",
       floats(z->partials)},
      {"snapshot_rows", "rows of snapshots", floats(z->memory_rows)},
      {"scratch", "scratch of the threads", floats(z->scratch * e->request.threads)},
      {"tokens", "ids, results, sums",
       floats(2 * z->tokens + z->lead + z->starts + z->sums + z->shares)},
      {"lists", "lists of panels", z->lists},
      {"process", "the program, MPI, HDF5, BLAS (about)", z->process},
      {"root", "rank 0 more: sums, and where a run began", z->root},
  };
  enum { N = sizeof all / sizeof all[0] };
  _Static_assert((int)N <= (int)LSP_PLAN_PARTS, "room");
  for (int i = 0; i < N; i++)
    part[i] = all[i];
  return N;
}

int lsp_plan_node_parts(const plan_estimate *e, plan_part part[LSP_PLAN_PARTS]) {
  int64_t strips = 0;
  for (int i = 0; i < e->model.layers; i++)
    strips += lsp_strip_floats(e->model.layer[i].heads,
                               lsp_max(0, lsp_sizes_strips(&e->model.layer[i])));
  const plan_part all[] = {
      {"weights", "weights", floats(lsp_model_floats(&e->model))},
      {"positions", "tables of relative positions", floats(strips)},
      {"packed", "packed rows of the output",
       floats(lsp_sizes_prepared(&e->model) - strips)},
      {"documents", "list of documents, hashes of the text", e->request.tables},
  };
  enum { N = sizeof all / sizeof all[0] };
  for (int i = 0; i < N; i++)
    part[i] = all[i];
  return N;
}

plan_kept lsp_plan_kept(const plan_estimate *e) {
  plan_kept k = {0, 0, 0};
  for (int i = 0; i < e->model.layers; i++) {
    const lsp_layer_sizes *y = &e->layer[i];
    if (!lsp_words_is_endless(&e->model, 0, i))
      continue;
    k.layers++;
    for (int s = 0; s < y->strata; s++) {
      const lsp_stratum_sizes *t = &y->stratum[s];
      k.all += 4.0 * (double)t->reach * (double)y->pooled;
      k.rank += 4.0 * (double)t->groups * (double)t->grain.group * (double)y->pooled;
    }
    k.all += 4.0 * (double)y->tiles * (double)y->tile;
    k.rank += 4.0 * (double)y->groups * LSP_GROUP * (double)y->tile;
  }
  return k;
}

int64_t lsp_plan_memory_tokens(const plan_estimate *e) {
  const lsp_plan *p = &e->plan;
  const lsp_wrap_kind kind = e->model.wrapper.kind;
  int64_t frames = 0;
  if (kind != LSP_WRAP_ASSOCIATIVE && kind != LSP_WRAP_TOKENS)
    return 0;
  for (int64_t f = 0; f < p->frames; f++)
    frames += lsp_plan_tokens_of(p, f) > 0;
  return frames * (p->framing.prefix + p->framing.suffix);
}

plan_disk lsp_plan_disk(const plan_estimate *e) {
  const lsp_heads h = e->model.layer[0].heads;
  const double row = 8.0 * e->model.layers * h.shared * h.width;
  const double past = row * (double)e->sizes.reach;
  const double fixed = row * (double)(e->sizes.fixed_rows + e->sizes.pooled_rows);
  const double states = lsp_words_states(&e->model);
  if (e->model.two_sided)
    return (plan_disk){0, 0, 0};
  return (plan_disk){.states = states,
                     .snapshot = past + fixed + states,
                     .slot = 3 * past + 2 * (fixed + states)};
}

const char *const lsp_plan_kind_key[LSP_LOAN_KINDS] = {[LSP_LOAN_HALO] = "halo",
                                                       [LSP_LOAN_KEPT] = "kept",
                                                       [LSP_LOAN_KEEP] = "keep",
                                                       [LSP_LOAN_FIXED] = "fixed",
                                                       [LSP_LOAN_POOLED] = "pooled"};

const char *const lsp_plan_kind_words[LSP_LOAN_KINDS] = {
    [LSP_LOAN_HALO] = "from spans of this wave (halo)",
    [LSP_LOAN_KEPT] = "from earlier waves, brought back (kept)",
    [LSP_LOAN_KEEP] = "for later waves, put away (keep)",
    [LSP_LOAN_FIXED] = "first positions of a document (fixed)",
    [LSP_LOAN_POOLED] = "means of keys and values (pooled)"};
