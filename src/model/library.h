/* What the models of the Hugging Face library have in common, whatever their family.
 * Internal to the model module. Local.
 *
 * Their config.json holds many keys that say nothing of the numbers, so unknown ones are
 * passed over; those that would change numbers in a way that is not computed here are
 * refused. */
#ifndef LSP_LIBRARY_H
#define LSP_LIBRARY_H

#include "family.h"
#include "source.h"

/* Refuses quantised weights, and keys of other architectures that are set. */
lsp_status lsp__library_check(const lsp_source *s);

/* Refuses options that no model of the library has a use for. */
lsp_status lsp__library_choices(const lsp_source *s, const lsp_choices *choices);

/* An activation by the library's name; a missing key keeps what *value holds. */
lsp_status lsp__library_activation(const lsp_source *s, const char *key,
                                   lsp_activation *value);

/* Sizes that are in every family, under their names in it. */
typedef struct {
  int64_t words, width, layers, heads; /* V, D, L, H */
} lsp_library_sizes;

/* Fills embedding, vocabulary and what else is alike in all families. */
void lsp__library_describe(const lsp_library_sizes *sizes, lsp_model *model);

/* Lets the last slot go by its name without `prefix`, too, which some checkpoints leave
 * out. */
lsp_slot *lsp__library_bare(lsp_slot *s, const char *prefix);

/* The table of words, the head, and what ties them. */
void lsp__library_words(lsp_slots *list, lsp_model *model, int tied, const char *prefix,
                        const char *name);

/* Is `name` PREFIX + LIST + "." + a number + "." + `rest`? The prefix may be missing. */
int lsp__library_is_of_layer(const char *name, const char *prefix, const char *list,
                             const char *rest);

#endif
