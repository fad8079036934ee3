/* The options of a run: one table gives the structure's defaults, the parser, --help
 * and the record of semantic options in the file.
 *
 * A semantic option may change the answer (law 1); the others never do. not_finite is
 * none: `stop` only refuses to finish a run, and what it finishes has the bytes that
 * `count` gives. */
#ifndef LSP_OPTIONS_H
#define LSP_OPTIONS_H

#include <stdint.h>

typedef enum { LSP_MEM_DEFAULT, LSP_MEM_ZEROS, LSP_MEM_EMPTY } lsp_mem_init;
typedef enum { LSP_GEMM_PACKED, LSP_GEMM_BLAS } lsp_gemm_kind;
typedef enum { LSP_SNAPSHOT_LAST, LSP_SNAPSHOT_DOCUMENTS, LSP_SNAPSHOT_NONE } lsp_when;
typedef enum { LSP_TOKENS_TEXT, LSP_TOKENS_PARSE } lsp_special_tokens;
typedef enum { LSP_NOT_FINITE_STOP, LSP_NOT_FINITE_COUNT } lsp_not_finite;
enum { LSP_WRITE_ID = 1, LSP_WRITE_NLL = 2, LSP_WRITE_HIDDEN = 4 };
enum { LSP_WRITE_LAYERS = 32 };

/* What is written of each token. */
typedef struct {
  int64_t parts;               /* LSP_WRITE_ID, ... */
  int layers;                  /* whose input is written: hidden:LAYER */
  int layer[LSP_WRITE_LAYERS]; /* which, rising */
  int chosen_layers;           /* whose choices are written: chosen:LAYER */
  int chosen_layer[LSP_WRITE_LAYERS];
} lsp_write;

/* kind, field, default, lowest, highest, semantic, argument, help
 *
 *   TEXT    a string
 *   INT     a number; -1: not given
 *   FLAG    0 or 1
 *   TIME    seconds, from H:MM:SS, MM:SS or seconds
 *   SIZE    bytes, from a number with K, M or G
 *   WORDS   one word of the list in `argument`: the first stands for `lowest`, the next
 *           for lowest + 1, ...
 *   WRITE   several words of the list, word i is bit i; and hidden:LAYER and
 *           chosen:LAYER, any number */
#define LSP_OPTION_TABLE(X)                                                            \
  X(TEXT, model, NULL, 0, 0, 0, "DIR",                                                 \
    "checkpoint: a folder with config.json and model.safetensors")                     \
  X(TEXT, output, NULL, 0, 0, 0, "FILE.h5",                                            \
    "what to write; FILE.memory.h5 and FILE.run.json beside it")                       \
  X(WRITE, write, LSP_WRITE_ID | LSP_WRITE_NLL, 0, 0, 1, "id,nll,hidden",              \
    "per-token results, any of these (default: id,nll); hidden:LAYER: what enters "    \
    "layer LAYER (0: the embedding), chosen:LAYER: blocks that each token chose in a " \
    "layer that chooses, several allowed: id,nll,hidden:0,hidden:6")                   \
  X(INT, segment, -1, 1, 1 << 24, 1, "N",                                              \
    "tokens a segment (default: tgt_len of the config, else mem_len, else 128)")       \
  X(INT, mem_len, -1, 0, 1 << 24, 1, "N",                                              \
    "positions of memory (default: mem_len of the config)")                            \
  X(WORDS, mem_init, LSP_MEM_DEFAULT, LSP_MEM_ZEROS, LSP_MEM_EMPTY, 1, "zeros|empty",  \
    "memory before a document: zero vectors that are attended to, or none (default: "  \
    "zeros, as the checkpoint's library does)")                                        \
  X(TEXT, context, NULL, 0, 0, 1, "CONTEXT",                                           \
    "how much of a text is read at once: full, window:W, window:W,sinks:S, chunks:N, " \
    "chunks:N,stride:S or chunks:N,half (default: all of it, as far as the model was " \
    "trained for)")                                                                    \
  X(TEXT, store, NULL, 0, 0, 1, "STORE",                                               \
    "give layers of a model a store of their keys and values, of which each token "    \
    "takes the K that match best: layers:LIST,k:K,gate:G and, if wanted, memory:M, "   \
    "segment:S, keys:plain|rotated, such as layers:3+5+7,k:32,gate:0.1")               \
  X(WORDS, input_format, 5, 0, 4, 0, "text|u16|u32|megatron|longspan",                 \
    "what the inputs are (default: by name, else text)")                               \
  X(TEXT, bos, NULL, 0, 0, 1, "template|none|ID",                                      \
    "tokens before every text: what the tokenizer's template says (default), none, "   \
    "or "                                                                              \
    "this one; they are no rows of the output")                                        \
  X(WORDS, special_tokens, LSP_TOKENS_TEXT, LSP_TOKENS_TEXT, LSP_TOKENS_PARSE, 1,      \
    "text|parse",                                                                      \
    "names of special tokens in a text, such as <|endoftext|>: text like any other "   \
    "(default), or those tokens")                                                      \
  X(WORDS, snapshots, LSP_SNAPSHOT_LAST, 0, 2, 1, "last|documents|none",               \
    "memory snapshots: at the last position (default), at the end of each document")   \
  X(INT, snapshot_every, -1, 1, 1 << 24, 1, "N",                                       \
    "also a memory snapshot after every N segments of each document")                  \
  X(TEXT, from_snapshot, NULL, 0, 0, 1, "FILE",                                        \
    "continue the first document from the last snapshot of FILE.memory.h5")            \
  X(WORDS, not_finite, LSP_NOT_FINITE_STOP, LSP_NOT_FINITE_STOP, LSP_NOT_FINITE_COUNT, \
    0, "stop|count",                                                                   \
    "a result that is not a finite number (damaged weights, overflow): stop the run "  \
    "(default), or count it for its document, which then has no bits per byte")        \
  X(INT, wave_tokens, -1, 1, (int64_t)1 << 40, 0, "N",                                 \
    "tokens that all ranks process between two commits (default: about 30 s of work, " \
    "within --memory)")                                                                \
  X(SIZE, memory, -1, 1 << 20, (int64_t)1 << 50, 0, "SIZE",                            \
    "bytes that a rank may take beside the weights, of which a node has one copy: a "  \
    "number with K, M or G (default: 256M, or what the model's memory needs)")         \
  X(TEXT, scratch, NULL, 0, 0, 0, "DIR",                                               \
    "keys and values that layers look back to from later waves lie in files of this "  \
    "folder instead of in memory, one a rank, that are gone when the run ends")        \
  X(FLAG, resume, 0, 0, 0, 0, "",                                                      \
    "resume a run that was stopped; start if there is none; done if it is finished")   \
  X(FLAG, overwrite, 0, 0, 0, 0, "", "replace an output that exists")                  \
  X(TIME, max_time, -1, 1, INT64_MAX, 0, "H:MM:SS",                                    \
    "stop with everything committed before this much time has passed since the "       \
    "start; waves become smaller towards the end (exit status 75)")                    \
  X(TIME, watchdog, 600, 0, INT64_MAX, 0, "H:MM:SS",                                   \
    "end the job (exit status 1) when no rank has made progress for this long; 0: "    \
    "never (default: 0:10:00)")                                                        \
  X(INT, threads, -1, 1, 4096, 0, "N",                                                 \
    "threads a rank (default: OMP_NUM_THREADS, else this rank's share of the cores)")  \
  X(WORDS, gemm, LSP_GEMM_PACKED, LSP_GEMM_PACKED, LSP_GEMM_BLAS, 1, "packed|blas",    \
    "products with weights: longspan's own, with the same bits on every processor "    \
    "(default), or those of the BLAS library, whose version and core decide bits")     \
  X(WORDS, isa, 3, 0, 2, 0, "plain|avx2|avx512",                                       \
    "highest instruction set to use (default: the best that all ranks have)")          \
  X(TEXT, log, NULL, 0, 0, 0, "FILE", "also write the messages to FILE")               \
  X(FLAG, quiet, 0, 0, 0, 0, "", "no progress, no table")

typedef struct {
#define LSP_FIELD_TEXT const char *
#define LSP_FIELD_INT int64_t
#define LSP_FIELD_TIME int64_t
#define LSP_FIELD_SIZE int64_t
#define LSP_FIELD_FLAG int64_t
#define LSP_FIELD_WORDS int64_t
#define LSP_FIELD_WRITE lsp_write
#define X(kind, field, initial, low, high, semantic, argument, help)                   \
  LSP_FIELD_##kind field;
  LSP_OPTION_TABLE(X)
#undef X
  const char *const *inputs;
  int input_count;
  const char *command_line; /* for FILE.run.json */
} lsp_options;

/* input_format is an lsp_input_format (LSP_INPUT_AUTO: not given), isa an lsp_isa
 * (LSP_ISA_COUNT: not given); the parser holds the numbers above to these. */

/* Local. The semantic options as they were given, as a JSON object; null: not given.
 * The caller frees it; NULL: no memory. */
char *lsp_options_record(const lsp_options *options);

#endif
