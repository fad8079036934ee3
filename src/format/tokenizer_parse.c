/* A tokenizer.json, part by part.
 *
 * What must hold: whatever would change an id is either followed or refused by the name of
 * its place. Parts that make text of ids again (decoder) are not looked at. */
#include "tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

static lsp_status read_form(lsp_tokenizer *t, const lsp__spot *s, const json_t *part,
                            const char *type, lsp_failure *why) {
  static const struct {
    const char *name;
    lsp__form form;
  } form[] = {
      {"NFC", LSP__NFC}, {"NFD", LSP__NFD}, {"NFKC", LSP__NFKC}, {"NFKD", LSP__NFKD}};
  LSP_TRY(lsp__spot_keys(s, part, "type", why));
  for (size_t i = 0; i < sizeof form / sizeof form[0]; i++)
    if (strcmp(type, form[i].name) == 0 && t->forms < LSP__FORMS_MOST) {
      t->form[t->forms++] = form[i].form;
      return LSP_OK;
    }
  return lsp__spot_odd(
      s, part, "NFC, NFD, NFKC, NFKD or a Sequence of at most four of them", why);
}

/* The ids of a special token of a template, behind those that are there. */
static lsp_status add_special(lsp_tokenizer *t, const lsp__spot *s, const json_t *list,
                              const char *name, lsp_failure *why) {
  const lsp__spot at_name = lsp__spot_key(s, name);
  const lsp__spot at_ids = lsp__spot_key(&at_name, "ids");
  const json_t *ids = json_object_get(json_object_get(list, name), "ids");
  if (!json_is_array(ids))
    return lsp__spot_odd(&at_ids, ids, "a list of ids", why);
  for (size_t i = 0; i < json_array_size(ids); i++) {
    const json_t *id = json_array_get(ids, i);
    const lsp__spot here = lsp__spot_at(&at_ids, (int64_t)i);
    const json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    if (value < 0 || value >= t->n || t->token[value].text == NULL)
      return lsp__spot_odd(&here, id, "the id of a token", why);
    if (t->prefixes == LSP_TEMPLATE_MOST)
      return lsp__spot_odd(&here, id, "at most 32 tokens before a text", why);
    t->prefix[t->prefixes++] = (int32_t)value;
  }
  return LSP_OK;
}

/* A piece of a template: $A, or a special token before it. */
static lsp_status read_piece(lsp_tokenizer *t, const lsp__spot *s, const json_t *piece,
                             const json_t *template, int *text, lsp_failure *why) {
  LSP_TRY(lsp__spot_keys(s, piece, "SpecialToken Sequence", why));
  const json_t *special = json_object_get(piece, "SpecialToken");
  const json_t *sequence = json_object_get(piece, "Sequence");
  if ((special == NULL) == (sequence == NULL))
    return lsp__spot_odd(s, piece, "either a SpecialToken or a Sequence", why);
  const char *id =
      json_string_value(json_object_get(special != NULL ? special : sequence, "id"));
  if (sequence != NULL) {
    if (*text || id == NULL || strcmp(id, "A") != 0)
      return lsp__spot_odd(s, piece, "the Sequence A, once", why);
    *text = 1;
    return LSP_OK;
  }
  if (*text)
    return lsp__spot_odd(s, piece, "no token after the text", why);
  if (id == NULL)
    return lsp__spot_odd(s, piece, "the name of a special token as \"id\"", why);
  const lsp__spot up = lsp__spot_key(s->up->up, "special_tokens");
  return add_special(t, &up, json_object_get(template, "special_tokens"), id, why);
}

static lsp_status read_template(lsp_tokenizer *t, const lsp__spot *s,
                                const json_t *template, lsp_failure *why) {
  LSP_TRY(lsp__spot_keys(s, template, "type single pair special_tokens", why));
  const json_t *single = json_object_get(template, "single");
  const lsp__spot at_single = lsp__spot_key(s, "single");
  if (!json_is_array(single))
    return lsp__spot_odd(&at_single, single, "a list of pieces", why);
  int text = 0;
  for (size_t i = 0; i < json_array_size(single); i++) {
    const lsp__spot here = lsp__spot_at(&at_single, (int64_t)i);
    LSP_TRY(read_piece(t, &here, json_array_get(single, i), template, &text, why));
  }
  if (!text)
    return lsp__spot_odd(&at_single, single, "the Sequence A in it", why);
  return LSP_OK;
}

static lsp_status read_processor(lsp_tokenizer *t, const lsp__spot *s,
                                 const json_t *part, const char *type,
                                 lsp_failure *why) {
  if (strcmp(type, "ByteLevel") == 0)
    return lsp__spot_keys(s, part, "type add_prefix_space trim_offsets use_regex", why);
  if (strcmp(type, "TemplateProcessing") != 0)
    return lsp__spot_odd(s, part, "ByteLevel, TemplateProcessing or a Sequence", why);
  if (t->prefixes > 0)
    return lsp__spot_odd(s, part, "one template", why);
  return read_template(t, s, part, why);
}

static lsp_status expect_null(const lsp__spot *root, const json_t *json,
                              const char *key, lsp_failure *why) {
  const json_t *found = json_object_get(json, key);
  const lsp__spot here = lsp__spot_key(root, key);
  if (found == NULL || json_is_null(found))
    return LSP_OK;
  return lsp__spot_odd(&here, found, "null", why);
}

/* Room for all tokens of the vocabulary and of `added`. */
static lsp_status reserve_tokens(lsp_tokenizer *t, const lsp__spot *root,
                                 const json_t *vocabulary, const json_t *added,
                                 lsp_failure *why) {
  size_t bytes = 1;
  int64_t ids = 0;
  void *at = json_object_iter((json_t *)(uintptr_t)vocabulary);
  for (; at != NULL; at = json_object_iter_next((json_t *)(uintptr_t)vocabulary, at)) {
    const json_t *id = json_object_iter_value(at);
    const json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    bytes += strlen(json_object_iter_key(at));
    if (value < 0 || value >= LSP__IDS_MOST) {
      const lsp__spot model = lsp__spot_key(root, "model");
      const lsp__spot vocab = lsp__spot_key(&model, "vocab");
      const lsp__spot here = lsp__spot_key(&vocab, json_object_iter_key(at));
      return lsp__spot_odd(&here, id, "an id from 0 to 4194303", why);
    }
    ids = value >= ids ? value + 1 : ids;
  }
  for (size_t i = 0; i < json_array_size(added); i++)
    bytes += json_string_length(json_object_get(json_array_get(added, i), "content"));
  const size_t room =
      (size_t)ids + json_array_size(added) + json_object_size(vocabulary);
  t->token = calloc(room + 1, sizeof *t->token);
  t->text = malloc(bytes);
  if (t->token == NULL || t->text == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for its vocabulary",
                    root->file);
  return LSP_OK;
}

lsp_status lsp__tokenizer_read(lsp_tokenizer *t, const char *path, const json_t *json,
                               lsp_failure *why) {
  const lsp__spot root = {.file = path};
  LSP_TRY(lsp__spot_keys(&root, json,
                         "version truncation padding added_tokens normalizer "
                         "pre_tokenizer post_processor decoder model",
                         why));
  LSP_TRY(expect_null(&root, json, "truncation", why));
  LSP_TRY(expect_null(&root, json, "padding", why));
  const json_t *model = json_object_get(json, "model");
  const json_t *vocabulary = json_object_get(model, "vocab");
  const json_t *added = json_object_get(json, "added_tokens");
  LSP_TRY(reserve_tokens(t, &root, vocabulary, added, why));
  LSP_TRY(lsp__model_read(t, &root, model, why));
  const lsp__spot normalizer = lsp__spot_key(&root, "normalizer");
  LSP_TRY(lsp__read_parts(t, &normalizer, json_object_get(json, "normalizer"),
                          "normalizers", read_form, why));
  LSP_TRY(lsp__names_read(t, &root, added, vocabulary, why));
  LSP_TRY(lsp__rules_read(t, &root, json_object_get(json, "pre_tokenizer"), why));
  const lsp__spot processor = lsp__spot_key(&root, "post_processor");
  LSP_TRY(lsp__read_parts(t, &processor, json_object_get(json, "post_processor"),
                          "processors", read_processor, why));
  return lsp__cuts_find(t, why);
}
