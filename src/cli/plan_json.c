/* longspan plan --format json: the keys stay what they are. */
#include "estimate.h"

#include "model_words.h"

#include "lsp/json.h"

#include <stdio.h>
#include <stdlib.h>

static void put(json_t *o, const char *key, int64_t value) {
  (void)json_object_set_new(o, key, json_integer((json_int_t)value));
}

/* Negative: not counted. */
static json_t *counted(double value) {
  return value < 0        ? json_null()
         : value < 0x1p53 ? json_integer((json_int_t)value)
                          : json_real(value);
}

static json_t *parts_json(const plan_part *part, int n) {
  json_t *o = json_object();
  for (int i = 0; i < n; i++)
    put(o, part[i].key, part[i].bytes);
  return o;
}

static void put_memory(json_t *o, const plan_estimate *e) {
  plan_part part[LSP_PLAN_PARTS];
  int n = lsp_plan_rank_parts(e, part);
  (void)json_object_set_new(o, "rank_bytes_by_part", parts_json(part, n));
  n = lsp_plan_node_parts(e, part);
  (void)json_object_set_new(o, "node_bytes_by_part", parts_json(part, n));
  put(o, "rank_bytes", lsp_sizes_rank(&e->sizes));
  put(o, "node_bytes", e->sizes.node);
  put(o, "planned_bytes", lsp_sizes_rank(&e->sizes) + e->sizes.node);
  put(o, "least_rank_bytes", e->least_memory);
}

static void put_disk(json_t *o, const plan_estimate *e) {
  const plan_disk disk = lsp_plan_disk(e);
  (void)json_object_set_new(o, "state_bytes", counted(disk.states));
  (void)json_object_set_new(o, "snapshot_bytes", counted(disk.snapshot));
  (void)json_object_set_new(o, "slot_bytes", counted(disk.slot));
}

static void put_lending(json_t *o, const plan_estimate *e) {
  const lsp_lending *l = &e->lending;
  json_t *kinds = l->exact ? json_object() : json_null();
  (void)json_object_set_new(o, "lending_is_exact", json_boolean(l->exact));
  put(o, "messages_a_layer_and_wave", l->layer.messages);
  put(o, "bytes_a_layer_and_wave", l->layer.bytes);
  put(o, "messages_sent", l->rank.messages);
  put(o, "bytes_sent", l->rank.bytes);
  for (int k = 0; k < LSP_LOAN_KINDS && l->exact; k++)
    (void)json_object_set_new(kinds, lsp_plan_kind_key[k],
                              json_pack("{s:I, s:I}", "messages",
                                        (json_int_t)l->kind[k].messages, "bytes",
                                        (json_int_t)l->kind[k].bytes));
  (void)json_object_set_new(o, "loans", kinds);
  put(o, "picked_messages_a_layer_and_wave", l->fetched.messages);
  put(o, "picked_bytes_a_layer_and_wave", l->fetched.bytes);
}

static void put_work(json_t *o, const plan_estimate *e) {
  const double flops = e->outside + e->within;
  (void)json_object_set_new(o, "flops", json_real(flops));
  (void)json_object_set_new(o, "flops_outside_attention", json_real(e->outside));
  (void)json_object_set_new(o, "flops_of_attention", json_real(e->within));
  (void)json_object_set_new(o, "flops_of_full_layers", json_real(e->quadratic));
  (void)json_object_set_new(o, "visits", counted(e->visits));
  (void)json_object_set_new(o, "flops_per_second", json_real(e->rate));
  (void)json_object_set_new(o, "seconds", json_real(flops / e->rate));
}

static json_t *layers_of(const plan_estimate *e, lsp_words_is *is) {
  json_t *list = json_array();
  for (int i = 0; i < e->model.layers; i++)
    if (is(&e->model, 0, i))
      (void)json_array_append_new(list, json_integer(i));
  return list;
}

/* Of each layer: rows of each stratum that are kept. */
static json_t *pooled_rows(const plan_estimate *e) {
  json_t *list = json_array();
  for (int i = 0; i < e->model.layers; i++) {
    json_t *rows = json_array();
    for (int s = 0; s < e->layer[i].strata; s++)
      (void)json_array_append_new(rows, json_integer(e->layer[i].stratum[s].reach));
    (void)json_array_append_new(list, rows);
  }
  return list;
}

static void put_layers(json_t *o, const plan_estimate *e) {
  const plan_kept kept = lsp_plan_kept(e);
  put(o, "layers", e->model.layers);
  (void)json_object_set_new(o, "causal", json_boolean(!e->model.two_sided));
  (void)json_object_set_new(o, "full_layers", layers_of(e, lsp_words_is_endless));
  (void)json_object_set_new(o, "one_wave_layers", layers_of(e, lsp_words_is_whole));
  (void)json_object_set_new(o, "picking_layers", layers_of(e, lsp_words_is_picking));
  (void)json_object_set_new(o, "pooled_rows", pooled_rows(e));
  (void)json_object_set_new(o, "full_kept_bytes", json_real(kept.all));
  (void)json_object_set_new(o, "full_kept_bytes_a_rank", json_real(kept.rank));
}

lsp_status lsp_plan_print_json(const plan_estimate *e, lsp_failure *why) {
  json_t *o = json_object();
  char context[LSP_CONTEXT_SIZE], segments[LSP_WRAPPER_WORDS] = "";
  if (e->model.wrapper.kind != LSP_WRAP_NONE)
    lsp_wrapper_print(&e->model.wrapper, segments);
  (void)json_object_set_new(o, "format", json_string("longspan-plan"));
  (void)json_object_set_new(o, "model_type", json_string(lsp_model_type(&e->model)));
  put(o, "tokens", lsp_plan_tokens(&e->plan));
  put(o, "documents", e->plan.documents);
  lsp_context_print(&e->context, context);
  (void)json_object_set_new(o, "context", json_string(context));
  (void)json_object_set_new(o, "store", json_string(e->store));
  (void)json_object_set_new(o, "segments", json_string(segments));
  put(o, "frames", e->plan.frames);
  put(o, "tokens_read_again", lsp_plan_read_again(&e->plan));
  put(o, "memory_tokens", lsp_plan_memory_tokens(e));
  put(o, "longest_rows", e->request.longest);
  put(o, "prefix", e->plan.framing.prefix);
  put(o, "ranks", e->request.ranks);
  put(o, "threads", e->request.threads);
  put(o, "panels", lsp_plan_panels(&e->plan));
  put(o, "waves", e->lending.waves);
  put(o, "scratch_bytes_a_rank", e->sizes.scratch_bytes);
  put(o, "wave_tokens", e->sizes.wave_rows);
  (void)json_object_set_new(o, "idle_ranks", counted((double)e->lending.idle));
  put_layers(o, e);
  put_work(o, e);
  put_lending(o, e);
  put_disk(o, e);
  put_memory(o, e);
  char *text = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
  json_decref(o);
  if (text == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for the plan's text");
  (void)puts(text);
  free(text);
  return LSP_OK;
}
