/* The rows before a text: by the tokenizer's template, as its library adds them, or as the
 * user says. They are part of a document's frame, never of the output. */
#include "lsp/bos.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)LSP_TEMPLATE_MOST <= (int)LSP_PREFIX_MAX,
               "a model has room for every template");

lsp_status lsp_bos_parse(const char *text, int64_t *bos, lsp_failure *why) {
  char *end = NULL;
  *bos = LSP_BOS_TEMPLATE;
  if (text == NULL || strcmp(text, "template") == 0)
    return LSP_OK;
  *bos = LSP_BOS_NONE;
  if (strcmp(text, "none") == 0)
    return LSP_OK;
  errno = 0;
  const long long id = strtoll(text, &end, 10);
  if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || id > INT32_MAX)
    return lsp_fail(why, LSP_E_USAGE,
                    "--bos: '%.80s' is not template, none or a token id", text);
  *bos = id;
  return LSP_OK;
}

int lsp_bos_needs_tokenizer(const char *text, const lsp_model *model) {
  int64_t bos = LSP_BOS_NONE;
  return model->no_bos == NULL && lsp_bos_parse(text, &bos, NULL) == LSP_OK &&
         bos == LSP_BOS_TEMPLATE;
}

static lsp_status refuse_id(int64_t id, const lsp_model *model, lsp_failure *why) {
  return lsp_fail(
      why, LSP_E_USAGE,
      "--bos: there is no token %lld in the model's vocabulary of %lld; give "
      "an id from 0 to %lld, template or none",
      (long long)id, (long long)model->words.size, (long long)model->words.size - 1);
}

lsp_status lsp_bos_apply(const char *text, const lsp_tokenizer *t, lsp_model *model,
                         lsp_failure *why) {
  int64_t bos = 0;
  LSP_TRY(lsp_bos_parse(text, &bos, why));
  if (model->no_bos != NULL && text == NULL)
    return LSP_OK;
  if (model->no_bos != NULL)
    return lsp_fail(why, LSP_E_USAGE,
                    "--bos: is not for a model of model_type \"%s\": %s",
                    lsp_model_type(model), model->no_bos);
  model->prefixes = 0;
  if (bos >= model->words.size)
    return refuse_id(bos, model, why);
  if (bos >= 0)
    model->prefix[model->prefixes++] = (int32_t)bos;
  if (bos == LSP_BOS_TEMPLATE && t != NULL) {
    int32_t id[LSP_TEMPLATE_MOST];
    model->prefixes = lsp_tokenizer_prefix(t, id);
    for (int i = 0; i < model->prefixes; i++)
      model->prefix[i] = id[i];
  }
  return LSP_OK;
}
