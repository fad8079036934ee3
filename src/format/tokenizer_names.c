/* Added tokens: read, and found in a text.
 *
 * As the library does it: of those that overlap the leftmost is taken, of those that begin
 * together the longest; the search goes on behind it, also if it is then passed over (a
 * special token that is to be text, or one that has to be a word and is none). A token
 * that strips takes the spaces beside it that no earlier one has. */
#include "tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- The tree */

static lsp_status add_node(lsp__tree *tree, unsigned char byte, int32_t sibling,
                           int32_t *out, lsp_failure *why) {
  if (tree->n == tree->room) {
    const int32_t room = tree->room > 0 ? 2 * tree->room : 64;
    lsp__node *more =
        room > INT32_MAX / 4 ? NULL : realloc(tree->node, (size_t)room * sizeof *more);
    if (more == NULL)
      return lsp_fail(why, LSP_E_MEMORY, "not enough memory for the added tokens");
    tree->node = more;
    tree->room = room;
  }
  *out = tree->n;
  tree->node[tree->n++] = (lsp__node){.sibling = sibling, .name = -1, .byte = byte};
  return LSP_OK;
}

static int32_t find_sibling(const lsp__tree *tree, int32_t at, unsigned char byte) {
  while (at != 0 && tree->node[at].byte != byte)
    at = tree->node[at].sibling;
  return at;
}

/* A name that is there already keeps its place. */
static lsp_status tree_add(lsp__tree *tree, const unsigned char *text, size_t n,
                           int32_t name, lsp_failure *why) {
  int32_t at = 0;
  if (tree->n == 0)
    LSP_TRY(add_node(tree, 0, 0, &at, why));
  for (size_t i = 0; i < n; i++) {
    const int32_t child = i == 0 ? tree->first[text[0]] : tree->node[at].child;
    int32_t next = find_sibling(tree, child, text[i]);
    if (next == 0) {
      LSP_TRY(add_node(tree, text[i], i == 0 ? 0 : child, &next, why));
      if (i == 0)
        tree->first[text[0]] = next;
      else
        tree->node[at].child = next;
    }
    at = next;
  }
  if (tree->node[at].name < 0)
    tree->node[at].name = name;
  return LSP_OK;
}

int32_t lsp__tree_match(const lsp__tree *tree, const unsigned char *text, size_t n,
                        size_t *bytes) {
  int32_t name = -1;
  int32_t at = n > 0 ? tree->first[text[0]] : 0;
  for (size_t i = 1; at != 0; i++) {
    if (tree->node[at].name >= 0) {
      name = tree->node[at].name;
      *bytes = i;
    }
    at = i < n ? find_sibling(tree, tree->node[at].child, text[i]) : 0;
  }
  return name;
}

/* ---- Reading */

static lsp_status read_switches(const lsp__spot *s, const json_t *part, lsp__name *name,
                                lsp_failure *why) {
  name->normalized = 1;
  LSP_TRY(lsp__spot_bool(s, part, "special", &name->special, why));
  LSP_TRY(lsp__spot_bool(s, part, "lstrip", &name->lstrip, why));
  LSP_TRY(lsp__spot_bool(s, part, "rstrip", &name->rstrip, why));
  LSP_TRY(lsp__spot_bool(s, part, "single_word", &name->single_word, why));
  if (json_object_get(part, "normalized") == NULL)
    name->normalized = !name->special;
  return lsp__spot_bool(s, part, "normalized", &name->normalized, why);
}

/* The id that the library gives to an added token: that of the vocabulary, or the first
 * one behind all that are there; LSP__NO_TOKEN: it is there already. */
static int64_t expected_id(const lsp_tokenizer *t, json_t *seen,
                           const json_t *vocabulary, const char *content) {
  if (json_object_get(seen, content) != NULL ||
      json_object_set_new(seen, content, json_true()) != 0)
    return LSP__NO_TOKEN;
  const json_t *known = json_object_get(vocabulary, content);
  return known != NULL ? json_integer_value(known) : t->next_id;
}

static lsp_status read_name(lsp_tokenizer *t, const lsp__spot *s, const json_t *part,
                            const json_t *vocabulary, json_t *seen, lsp_failure *why) {
  LSP_TRY(lsp__spot_keys(
      s, part, "id content single_word lstrip rstrip normalized special", why));
  const json_t *content = json_object_get(part, "content");
  const lsp__spot at_content = lsp__spot_key(s, "content");
  if (!json_is_string(content) || json_string_length(content) == 0)
    return lsp__spot_odd(&at_content, content, "text", why);
  lsp__name *name = &t->name[t->names];
  LSP_TRY(read_switches(s, part, name, why));
  const json_t *id = json_object_get(part, "id");
  const lsp__spot at_id = lsp__spot_key(s, "id");
  const int64_t expected = expected_id(t, seen, vocabulary, json_string_value(content));
  if (expected == LSP__NO_TOKEN)
    return lsp__spot_odd(&at_content, content, "a text that no other added token has",
                         why);
  if (!json_is_integer(id) || json_integer_value(id) != expected ||
      expected >= LSP__IDS_MOST)
    return lsp__spot_odd(&at_id, id,
                         "the id that this text has in the vocabulary, or the next one "
                         "behind all others",
                         why);
  char *text = t->text + t->text_bytes;
  name->bytes = json_string_length(content);
  memcpy(text, json_string_value(content), name->bytes);
  t->text_bytes += name->bytes;
  name->text = text;
  name->id = (int32_t)expected;
  if (t->token[expected].text == NULL)
    t->token[expected] = (lsp__token){.text = text, .bytes = (uint32_t)name->bytes};
  t->n = expected >= t->n ? expected + 1 : t->n;
  t->next_id = expected >= t->next_id ? expected + 1 : t->next_id;
  t->names++;
  return LSP_OK;
}

/* A name is looked for as it is, or in the text's normal form as its own. */
static lsp_status index_name(lsp_tokenizer *t, int32_t i, lsp_failure *why) {
  const lsp__name *name = &t->name[i];
  const unsigned char *text = (const unsigned char *)name->text;
  if (!name->normalized)
    return tree_add(&t->raw, text, name->bytes, i, why);
  lsp__normal work = {0};
  lsp__passage p = {.text = text, .bytes = name->bytes};
  lsp_status status = lsp__normalize(t, &p, &work, why);
  if (status == LSP_OK && p.bytes > 0)
    status = tree_add(&t->normal, p.text, p.bytes, i, why);
  lsp__normal_free(&work);
  return status;
}

lsp_status lsp__names_read(lsp_tokenizer *t, const lsp__spot *root, const json_t *list,
                           const json_t *vocabulary, lsp_failure *why) {
  const lsp__spot s = lsp__spot_key(root, "added_tokens");
  if (list == NULL || json_is_null(list))
    return LSP_OK;
  if (!json_is_array(list))
    return lsp__spot_odd(&s, list, "a list", why);
  t->name = calloc(json_array_size(list) + 1, sizeof *t->name);
  if (t->name == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "%s: not enough memory for the added tokens",
                    root->file);
  json_t *seen = json_object();
  lsp_status status = LSP_OK;
  t->next_id = t->vocabulary;
  for (size_t i = 0; i < json_array_size(list) && status == LSP_OK; i++) {
    const lsp__spot here = lsp__spot_at(&s, (int64_t)i);
    status = read_name(t, &here, json_array_get(list, i), vocabulary, seen, why);
    if (status == LSP_OK)
      status = index_name(t, (int32_t)i, why);
  }
  json_decref(seen);
  return status;
}

/* ---- Finding */

/* 1 if a word goes on across either border of p[first..end). */
static int is_in_word(const lsp__passage *p, size_t first, size_t end) {
  size_t bytes = 0;
  if (first > 0 && lsp__is_word(lsp__character_before(p->text, first, &bytes)))
    return 1;
  return end < p->bytes &&
         lsp__is_word(lsp__character(p->text + end, p->bytes - end, &bytes));
}

static size_t spaces_before(const lsp__passage *p, size_t first, size_t least) {
  size_t bytes = 0;
  while (first > least && lsp__is_space(lsp__character_before(p->text, first, &bytes)))
    first -= bytes;
  return first > least ? first : least;
}

static size_t spaces_behind(const lsp__passage *p, size_t end) {
  size_t bytes = 0;
  while (end < p->bytes &&
         lsp__is_space(lsp__character(p->text + end, p->bytes - end, &bytes)))
    end += bytes;
  return end;
}

int32_t lsp__name_next(const lsp_tokenizer *t, const lsp__passage *p, lsp__search *s,
                       size_t *first, size_t *end) {
  const unsigned char *text = p->text;
  for (size_t i = s->from; s->tree->n > 0 && i < p->bytes;) {
    size_t bytes = 0;
    if (s->tree->first[text[i]] == 0) {
      i++;
      continue;
    }
    const int32_t found = lsp__tree_match(s->tree, text + i, p->bytes - i, &bytes);
    if (found < 0) {
      i++;
      continue;
    }
    const lsp__name *name = &t->name[found];
    *first = i;
    *end = i + bytes;
    i = s->from = *end;
    if ((name->special && s->special == LSP_SPECIAL_TEXT) ||
        (name->single_word && is_in_word(p, *first, *end)))
      continue;
    if (name->lstrip)
      *first = spaces_before(p, *first, s->covered);
    if (name->rstrip)
      *end = spaces_behind(p, *end);
    return found;
  }
  s->from = p->bytes;
  return -1;
}
