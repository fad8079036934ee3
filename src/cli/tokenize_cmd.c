/* longspan tokenize: texts to token ids in files, by all ranks together, as run cuts
 * them. */
#include "cli.h"
#include "tokenize.h"

#include "lsp/spool.h"
#include "lsp/stop.h"
#include "lsp/text_hash.h"

#include <stdlib.h>
#include <string.h>

#define ROW(kind, field, initial, low, high, argument, help)                           \
  {                                                                                    \
    LSP_OPTION_##kind, 0, #field, offsetof(tokenize_options, field), initial, low,     \
        high, argument, help                                                           \
  }

static const lsp_option tokenize_option[] = {
    ROW(TEXT, model, 0, 0, 0, "DIR", "folder with a tokenizer.json"),
    ROW(TEXT, output, 0, 0, 0, "FILE.bin", "what to write"),
    ROW(WORDS, format, TOKENS_U32, TOKENS_U16, TOKENS_MEGATRON, "u16|u32|megatron",
        "raw ids of one document (default: u32), or a dataset of any number of them: "
        "NAME.bin and NAME.idx"),
    ROW(WORDS, special_tokens, LSP_TOKENS_TEXT, LSP_TOKENS_TEXT, LSP_TOKENS_PARSE,
        "text|parse",
        "names of special tokens in a text: text like any other (default), or those "
        "tokens"),
    ROW(FLAG, overwrite, 0, 0, 0, "", "replace an output that exists"),
    ROW(FLAG, quiet, 0, 0, 0, "", "no progress, no summary"),
};

static const lsp_command tokenize_command = {
    .usage = "longspan tokenize --model DIR --output FILE.bin [options] INPUT...\n"
             "       mpirun -n P longspan tokenize ...",
    .about =
        "Cuts texts into the token ids of a model's tokenizer, on all MPI ranks "
        "together, and writes the ids alone, little-endian, without what --bos of run "
        "puts before a text. An INPUT is a file, a folder (all files below it, by "
        "name), @LIST (a file with one path a line) or - (standard input); any file is "
        "taken as text. longspan run does the same by itself; ids in files serve to "
        "count tokens, for other programs, and to run the same text many times: "
        "longspan run --input-format u16|u32|megatron reads them (and then knows "
        "neither names nor bytes of the text).",
    .option = tokenize_option,
    .options = sizeof tokenize_option / sizeof tokenize_option[0]};

static lsp_status check_options(const tokenize_options *o, lsp_failure *why) {
  if (o->model == NULL)
    return lsp_fail(why, LSP_E_USAGE,
                    "--model: is missing; give a folder with a tokenizer.json");
  if (o->output == NULL)
    return lsp_fail(why, LSP_E_USAGE,
                    "--output: is missing; give the file to write, such as book.bin");
  if (o->input_count == 0)
    return lsp_fail(why, LSP_E_USAGE,
                    "no INPUT; give the files or folders to read, or - for standard "
                    "input");
  return LSP_OK;
}

/* --- the work -------------------------------------------------------------------- */

typedef struct {
  lsp_ctx *ctx;
  const tokenize_options *o;
  lsp_tokenizer *tokenizer;
  int width;
  tokenize_files files;
  void *packed;
  lsp_corpus *text;
  int64_t *tokens; /* rank 0: (documents) */
} job;

/* Bytes of an id: a dataset of Megatron has 2 where its own tools would take 2. */
static lsp_status choose_width(job *j) {
  static const int64_t MEGATRON_U16 = 65500;
  const int64_t size = lsp_tokenizer_size(j->tokenizer);
  j->width = j->o->format == TOKENS_U16 ||
                     (j->o->format == TOKENS_MEGATRON && size < MEGATRON_U16)
                 ? 2
                 : 4;
  if (j->width == 4 || size <= 65536)
    return LSP_OK;
  return lsp_fail(
      &j->ctx->why, LSP_E_USAGE,
      "--format u16: the tokenizer has ids up to %lld, which do not fit into "
      "16 bits; use u32",
      (long long)size - 1);
}

static lsp_status open_tokenizer(job *j) {
  LSP_TRY(lsp_tokenizer_share(j->ctx, j->o->model, &j->tokenizer));
  if (j->tokenizer == NULL)
    return lsp_fail(
        &j->ctx->why, LSP_E_INPUT,
        "%s: there is no tokenizer.json in this folder; name the folder of a "
        "model with one",
        j->o->model);
  return lsp_agree(j->ctx, choose_width(j));
}

/* Rank 0. */
static lsp_status list_text(job *j, size_t *bytes) {
  lsp_failure *why = &j->ctx->why;
  const lsp_corpus_spec spec = {.format = LSP_INPUT_TEXT,
                                .inputs = j->o->inputs,
                                .input_count = j->o->input_count,
                                .spool = j->files.input,
                                .spooling = &j->files.spooling};
  LSP_TRY(lsp_tokenize_check(j->o, &j->files, why));
  LSP_TRY(lsp_corpus_open(&spec, &j->text, why));
  LSP_TRY(lsp_tokenize_begin(j->o, j->text, &j->files, why));
  j->tokens = calloc((size_t)lsp_corpus_count(j->text) + 1, sizeof *j->tokens);
  if (j->tokens == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "no memory for the list of documents");
  return lsp_corpus_pack(j->text, &j->packed, bytes, why);
}

static lsp_status open_text(job *j) {
  lsp_ctx *ctx = j->ctx;
  size_t bytes = 0;
  LSP_TRY(lsp_agree(ctx, lsp_tokenize_names(j->o, &j->files, &ctx->why)));
  LSP_TRY(lsp_agree(ctx, ctx->rank == 0 ? list_text(j, &bytes) : LSP_OK));
  lsp_bcast(ctx->comm, &bytes, sizeof bytes);
  if (ctx->rank != 0)
    j->packed = malloc(bytes);
  LSP_TRY(lsp_agree(ctx, j->packed != NULL
                             ? LSP_OK
                             : lsp_fail(&ctx->why, LSP_E_MEMORY,
                                        "no memory for the list of documents")));
  lsp_bcast(ctx->comm, j->packed, bytes);
  lsp_corpus_close(&j->text);
  return lsp_agree(ctx, lsp_corpus_unpack(j->packed, bytes, &j->text, &ctx->why));
}

static lsp_status cut(job *j) {
  lsp_text_hash hash;
  char temporary[PATH_MAX + 8];
  (void)snprintf(temporary, sizeof temporary, "%s.tmp", j->files.bin);
  const lsp_spool_spec spec = {.tokenizer = j->tokenizer,
                               .special = (lsp_special)j->o->special_tokens,
                               .width = j->width,
                               .ids = temporary};
  lsp_status st = lsp_text_hash_open(j->ctx, j->text, &hash);
  if (st == LSP_OK)
    st = lsp_spool_text(j->ctx, j->text, &spec, j->tokens);
  lsp_text_hash_close(&hash);
  return st;
}

static void say(const job *j, double seconds) {
  int64_t tokens = 0, bytes = 0;
  char n[3][LSP_NUMBER_SIZE];
  const int64_t documents = lsp_corpus_count(j->text);
  for (int64_t d = 0; d < documents; d++) {
    tokens += j->tokens[d];
    bytes += lsp_corpus_document(j->text, d).tokens;
  }
  lsp_print_line(
      stdout,
      "%s: %s token%s of %d bytes in %s document%s; %s bytes of text, %.2f a "
      "token, %.1f MB/s",
      j->files.bin, lsp_grouped(tokens, n[0]), tokens == 1 ? "" : "s", j->width,
      lsp_grouped(documents, n[1]), documents == 1 ? "" : "s", lsp_grouped(bytes, n[2]),
      tokens > 0 ? (double)bytes / (double)tokens : 0,
      1e-6 * (double)bytes / (seconds > 1e-9 ? seconds : 1e-9));
}

static lsp_status tokenize(job *j) {
  lsp_ctx *ctx = j->ctx;
  lsp_status st = LSP_OK;
  LSP_TRY(open_tokenizer(j));
  LSP_TRY(open_text(j));
  const double begun = MPI_Wtime();
  LSP_TRY(cut(j));
  if (ctx->rank == 0)
    st = lsp_tokenize_commit(j->o, &j->files, j->tokens, lsp_corpus_count(j->text),
                             j->width, &ctx->why);
  LSP_TRY(lsp_agree(ctx, st));
  if (ctx->rank == 0 && !j->o->quiet)
    say(j, MPI_Wtime() - begun);
  return LSP_OK;
}

static lsp_status work(lsp_ctx *ctx, const void *options) {
  job j;
  memset(&j, 0, sizeof j);
  j.ctx = ctx;
  j.o = options;
  j.files.ids.fd = j.files.index.fd = -1;
  ctx->quiet = j.o->quiet != 0;
  const lsp_status st = tokenize(&j);
  if (ctx->rank == 0)
    lsp_tokenize_end(&j.files);
  lsp_corpus_close(&j.text);
  lsp_tokenizer_close(&j.tokenizer);
  free(j.packed);
  free(j.tokens);
  return st;
}

int lsp_cmd_tokenize(int argc, char **argv) {
  tokenize_options options;
  lsp_failure why = {0};
  const int speaker = lsp_is_speaker();
  lsp_stop_listen(speaker);
  if (lsp_answered(speaker ? stdout : NULL, &tokenize_command, argc, argv))
    return 0;
  memset(&options, 0, sizeof options);
  const char **input = calloc((size_t)argc + 1, sizeof *input);
  lsp_status st = input != NULL ? LSP_OK : lsp_fail(&why, LSP_E_MEMORY, "no memory");
  if (st == LSP_OK)
    st = lsp_parse(&tokenize_command, argc, argv, &options, input, &options.input_count,
                   &why);
  options.inputs = input;
  if (st == LSP_OK)
    st = check_options(&options, &why);
  if (st == LSP_OK)
    st = lsp_with_mpi(work, &options);
  else if (speaker)
    (void)lsp_complain(&why);
  free(input);
  return lsp_exit_status(st);
}
