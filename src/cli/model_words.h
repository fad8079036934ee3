/* A model in words: which layers are alike, and what they see. Internal to cli. */
#ifndef LSP_CLI_MODEL_WORDS_H
#define LSP_CLI_MODEL_WORDS_H

#include "lsp/model.h"
#include "lsp/status.h"

#include <stddef.h>

/* Local. The description of DIR/config.json under these options. To be closed by
 * lsp_model_close, also after a failure. */
lsp_status lsp_words_model(const char *dir, const lsp_choices *choices,
                           lsp_model *model, lsp_failure *why);

/* Local. 1 if no layer before layer i sees as it does: same heads, positions, branches. */
int lsp_words_is_first(const lsp_model *model, int i);

/* Local. 1 if layers i and k see alike. */
int lsp_words_alike(const lsp_model *model, int i, int k);

/* Local. "layer 3", "layers 0 to 2, 5", "layers 0, 2, ... 46": the layers for which
 * is(model, of, layer). */
typedef int lsp_words_is(const lsp_model *model, int of, int layer);
void lsp_words_layers(const lsp_model *model, lsp_words_is *is, int of, char *text,
                      size_t size);

/* For lsp_words_layers: a layer whose keys and values are kept of every position, since it
 * sees them all or may pick any. */
int lsp_words_is_full(const lsp_model *model, int of, int layer);

/* A layer that looks back without end: at these, or at means of all. */
int lsp_words_is_endless(const lsp_model *model, int of, int layer);

/* A layer that needs all of a document at once: it looks ahead without end. */
int lsp_words_is_whole(const lsp_model *model, int of, int layer);

/* A layer whose queries look at blocks one by one. */
int lsp_words_is_picking(const lsp_model *model, int of, int layer);

/* 1 if all endless layers see every position, not means or some of them. */
int lsp_words_all_seen(const lsp_model *model);

/* Local. "8 query heads, 2 key/value heads of width 64". */
void lsp_words_heads(lsp_heads heads, char *text, size_t size);

/* Local. What one branch, and what all branches of a layer show: "a window of 512", "the
 * first 4 positions and a window of 64, in one softmax". _add_ appends. */
void lsp_words_branch(const lsp_layer *layer, int branch, char *text, size_t size);
void lsp_words_add_branch(const lsp_layer *layer, int branch, char *text, size_t size);
void lsp_words_sight(const lsp_layer *layer, char *text, size_t size);

/* Local. Positions that the means of a branch (compressed, levels) go back over, at least;
 * LSP_REACH_ALL. */
int64_t lsp_words_far(const lsp_pattern *p);

/* Local. Rows of the span of a head of a dynamic branch, rounded up; before the weights are
 * there, of the longest. */
int64_t lsp_words_span(const lsp_layer *layer, const lsp_pattern *p, int head);

/* Local. Reads what heads have learned of their windows (dynamic) from a checkpoint, so
 * that it can be said; nothing if there is none, or not all of it. *spans is to be freed
 * after the model's last use. */
void lsp_words_learned(const char *dir, lsp_model *model, float **spans);

/* Local. One past the last query head from `head` on that has its windows in all
 * branches. */
int lsp_words_heads_end(const lsp_layer *layer, int head);

/* Local. A memory around the model, and one after its last norm, where there are such. */
void lsp_words_wrapper(const lsp_model *model, char *text, size_t size);
void lsp_words_last(const lsp_model *model, char *text, size_t size);

/* Local. Bytes of the states of a layer (-1: of the model), and of all (lsp/memory.h). For
 * lsp_words_layers: a layer that has one. */
double lsp_words_state(const lsp_model *model, int layer);
double lsp_words_states(const lsp_model *model);
int lsp_words_has_state(const lsp_model *model, int of, int layer);

/* Local. Appends to a text that ends within `size` bytes; what does not fit is cut. */
void lsp_words_add(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
