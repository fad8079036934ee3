/* What a checkpoint is: sizes, parameters, memory, storage. */
#include "cli.h"
#include "info.h"

#include "lsp/memory.h"
#include "lsp/plan.h"
#include "lsp/safetensors.h"
#include "lsp/transfo_xl.h"

#include <string.h>

/* Trained parameters; a tensor that is tied to another counts once. */
static int64_t parameters(const lsp_txl_config *c) {
  const int64_t D = c->d_model, A = (int64_t)c->n_head * c->d_head, F = c->d_inner;
  const int64_t layer = 5 * A * D + 2 * D * F + F + D + 4 * D;
  const int projected = c->div_val > 1 || c->d_embed != c->d_model;
  const int tables = c->div_val == 1 ? 1 : c->clusters;
  int64_t n = c->n_layer * layer + 2 * A * (c->untie_r ? c->n_layer : 1);
  for (int i = 0; i < tables; i++) {
    const int64_t rows = tables == 1 ? c->vocab_size : c->cut[i + 1] - c->cut[i];
    const int64_t e = lsp_txl_width(c, i);
    n += rows * e * (c->tie_word_embeddings ? 1 : 2) + rows + (projected ? D * e : 0);
  }
  for (int i = 0; i < c->clusters && projected; i++)
    n += c->tie_proj[i] ? 0 : D * lsp_txl_width(c, i);
  return n + (c->clusters > 1 ? (c->clusters - 1) * ((int64_t)c->d_embed + 1) : 0);
}

static void print_sizes(const lsp_txl_config *c) {
  char number[LSP_NUMBER_SIZE];
  FILE *f = stdout;
  lsp_print_fact(f, "layers", "%d, layer norm %s each sublayer", c->n_layer,
                 c->pre_lnorm ? "before" : "after");
  lsp_print_fact(f, "width", "%d, feed-forward %d", c->d_model, c->d_inner);
  lsp_print_fact(f, "heads", "%d of width %d", c->n_head, c->d_head);
  lsp_print_fact(f, "vocabulary", "%s%s", lsp_grouped(c->vocab_size, number),
                 c->bytes_tokenizer ? ": bytes, so it reads any text"
                                    : " tokens (give files of token ids)");
  lsp_print_fact(f, "parameters", "%s", lsp_grouped(parameters(c), number));
  for (int i = 0; i < c->clusters && c->clusters > 1; i++)
    lsp_print_fact(f, i == 0 ? "embeddings" : "", "ids %lld to %lld: width %d",
                   (long long)c->cut[i], (long long)c->cut[i + 1] - 1,
                   lsp_txl_width(c, i));
}

static void print_memory(const lsp_txl_config *c) {
  char number[LSP_NUMBER_SIZE];
  FILE *f = stdout;
  const int64_t segment = c->tgt_len > 0   ? c->tgt_len
                          : c->mem_len > 0 ? c->mem_len
                                           : 128;
  const lsp_pattern pattern = {
      .memory = c->mem_len, .segment = segment, .same_length = c->same_length};
  const int64_t reach = lsp_max(lsp_pattern_reach(&pattern), 0);
  const double row = 2.0 * 4 * c->n_layer * c->n_head * c->d_head;
  lsp_print_fact(f, "segment", "%lld tokens%s", (long long)segment,
                 c->tgt_len > 0 ? "" : " (not in config.json; --segment changes it)");
  lsp_print_fact(f, "memory", "%lld positions a layer%s", (long long)c->mem_len,
                 c->same_length ? ", each token sees equally many (same_length)" : "");
  lsp_print_fact(f, "reach", "a token sees back %lld positions in each layer",
                 (long long)reach);
  if (c->clamp_len > 0)
    lsp_print_fact(f, "distances", "all treated alike from %lld on (clamp_len)",
                   (long long)c->clamp_len);
  lsp_print_fact(f, "snapshot", "%s", lsp_bytes(row * (double)reach, number));
  lsp_print_fact(
      f, "work", "%.4g MFLOP a token outside attention, %.4g within",
      lsp_txl_flops_per_token(c) / 1e6,
      c->n_layer * lsp_txl_flops_per_pair(c) * 1e-6 *
          ((double)c->mem_len + (c->same_length ? 0 : ((double)segment + 1) / 2)));
}

static void print_switches(const lsp_txl_config *c) {
  lsp_print_fact(
      stdout, "options",
      "untie_r %s, tie_word_embeddings %s, div_val %d, layer_norm_epsilon %g",
      c->untie_r ? "true" : "false", c->tie_word_embeddings ? "true" : "false",
      c->div_val, c->layer_norm_epsilon);
}

/* "F16" or "F16 and F32": the types of the tensors, in order of appearance. */
static void print_storage(const lsp_checkpoint *k, const lsp_txl_config *c) {
  char types[64] = "", bytes[LSP_NUMBER_SIZE], memory[LSP_NUMBER_SIZE];
  double sum = 0;
  int files = 0;
  for (int64_t i = 0; i < lsp_checkpoint_count(k); i++) {
    const lsp_tensor *t = lsp_checkpoint_at(k, i);
    const size_t n = strlen(types);
    sum += (double)t->bytes;
    files = t->file + 1 > files ? t->file + 1 : files;
    if (strstr(types, t->dtype_name) == NULL && n + 16 < sizeof types)
      (void)snprintf(types + n, sizeof types - n, "%s%s", n > 0 ? " and " : "",
                     t->dtype_name);
  }
  lsp_print_fact(stdout, "stored", "%lld tensors of %s in %d file%s, %s",
                 (long long)lsp_checkpoint_count(k), types, files,
                 files == 1 ? "" : "s", lsp_bytes(sum, bytes));
  lsp_print_fact(stdout, "in memory", "%s a node, float32",
                 lsp_bytes(4.0 * (double)lsp_txl_floats(c), memory));
}

lsp_status lsp_info_model(const char *dir, lsp_failure *why) {
  lsp_txl_config config;
  lsp_checkpoint *checkpoint = NULL;
  LSP_TRY(lsp_txl_config_read(dir, &config, why));
  LSP_TRY(lsp_checkpoint_open(dir, &checkpoint, why));
  lsp_print_line(stdout, "%s: a Transformer-XL", dir);
  print_sizes(&config);
  print_memory(&config);
  print_switches(&config);
  print_storage(checkpoint, &config);
  lsp_checkpoint_close(&checkpoint);
  return LSP_OK;
}
