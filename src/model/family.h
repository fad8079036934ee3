/* A family of models: how its config.json becomes a description, and how its tensors are
 * named. A new family is one row of the table in family.c. Internal to the model module. */
#ifndef LSP_FAMILY_H
#define LSP_FAMILY_H

#include "lsp/json.h"
#include "lsp/model.h"

#include "slots.h"

struct lsp_family {
  const char *model_type;
  /* From the parsed config.json (path is for messages) to the description. The model is
   * all zeros but for `family`; what a failure leaves is closed. */
  lsp_status (*describe)(const json_t *config, const char *path,
                         const lsp_choices *choices, lsp_model *model,
                         lsp_failure *why);
  /* Lists every tensor, with the views of `model`. */
  void (*slots)(lsp_model *model, lsp_slots *list);
  /* After views were dealt: those that are another tensor's. NULL: none. */
  void (*ties)(lsp_model *model);
  void (*release)(lsp_model *model); /* model->own; NULL: nothing to be freed */
  /* Tensors that a checkpoint may hold and that say nothing of the model. NULL: none. */
  int (*ignores)(const char *name);
  const void *kind; /* what sets it apart from others that share its functions */
};

extern const lsp_family lsp__gpt2, lsp__llama, lsp__longspan, lsp__ministral,
    lsp__mistral, lsp__qwen2, lsp__qwen3, lsp__smollm3, lsp__transfo_xl;

/* The known families, ended by NULL. */
extern const lsp_family *const lsp__families[];

/* Changes the branches as --context says, and records it. path is for messages. */
lsp_status lsp__apply_context(const char *path, const lsp_context *c, lsp_model *model,
                              lsp_failure *why);

/* Gives layers a store as --store says, and records it. */
lsp_status lsp__apply_recall(const char *path, const lsp_recall *r, lsp_model *model,
                             lsp_failure *why);

/* A branch of the layer that no store goes with, or NULL. */
const lsp_pattern *lsp__apart_from_store(const lsp_layer *l);

/* A memory around the model (lsp_wrapper), as the key of the family's config.json that
 * describes it says; nothing without it. What it does not go with is refused. */
lsp_status lsp__describe_wrapper(const json_t *config, const char *path,
                                 const lsp_context *context, lsp_model *model,
                                 lsp_failure *why);

/* Tensors of it. */
void lsp__wrapper_slots(lsp_model *model, lsp_slots *list);

/* Adds a fact to those that decide results. */
void lsp__fact(lsp_model *model, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same of a hash, in hexadecimal. */
void lsp__fact_hash(lsp_model *model, const char *key, const unsigned char hash[16]);

/* Tables of `layers` layers and `clusters` clusters, owned by the model. */
lsp_status lsp__model_tables(lsp_model *model, int layers, int clusters,
                             lsp_failure *why);

/* Refuses keys and values that no machine has room for, before they are counted in
 * integers. All layers have the same heads. */
lsp_status lsp__model_limits(const char *path, const lsp_model *model,
                             lsp_failure *why);

/* A view that is to be dealt, of given size. */
lsp_matrix lsp__matrix(int64_t rows, int64_t cols);

#endif
