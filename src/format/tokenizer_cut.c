/* Where a text may be cut so that both parts, encoded apart, have the ids of the whole.
 *
 * For GPT-2's pattern a piece never holds white space behind anything else, and what it
 * decides about a piece is decided by the piece and, of white space alone, by one
 * character behind: so a text may be cut between a character that is none and a space or
 * an end of line. The patterns of Llama 3 and Qwen take ends of line behind punctuation:
 * there before a space, before an end of line only behind a letter or digit, and also
 * behind the last end of line before what is no white space.
 *
 * Added tokens and normal forms must not see over the cut: no token holds such a pair of
 * characters, and a form changes neither of them (ASCII alone, if it is a compatible one).
 * Tokens that strip spaces or have to be words forbid what they might undo. Of other
 * patterns nothing is known, so that their texts are not cut. */
#include "tokenizer_internal.h"

#include "lsp/text.h"

#include <string.h>

static int is_white(unsigned char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

static int is_alnum(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* ---- What a tokenizer allows */

static void forbid_inside(lsp__cuts *cuts, const unsigned char *text, size_t n) {
  for (size_t i = 1; i < n; i++) {
    const int opens = is_white(text[i]) && !is_white(text[i - 1]);
    if (opens && text[i] == ' ')
      cuts->space = 0;
    if (opens && text[i] != ' ')
      cuts->newline = 0;
    if (text[i - 1] == '\n' && !is_white(text[i]))
      cuts->after = 0;
  }
}

static void forbid_name(lsp__cuts *cuts, const lsp__name *name,
                        const unsigned char *text, size_t n) {
  forbid_inside(cuts, text, n);
  const unsigned char last = text[n - 1];
  const int borders =
      is_white(text[0]) || text[0] >= 0x80 || is_white(last) || last >= 0x80;
  if (name->single_word && borders)
    *cuts = (lsp__cuts){0};
  if (name->rstrip)
    cuts->alnum = 1;
  if (name->rstrip && is_alnum(last))
    cuts->space = cuts->newline = 0;
  if (name->lstrip)
    cuts->after = 0;
}

static lsp__cuts pattern_cuts(const lsp_tokenizer *t) {
  lsp__cuts cuts = {0};
  int prefix = 0;
  const lsp__rule *first = NULL;
  for (int i = 0; i < t->rules; i++) {
    prefix = prefix || t->rule[i].kind == LSP__RULE_PREFIX;
    if (t->rule[i].kind == LSP__RULE_REGEX && first == NULL)
      first = &t->rule[i];
  }
  if (first == NULL || first->pattern == LSP__PATTERN_OTHER)
    return cuts;
  const int llama = first->pattern == LSP__PATTERN_LLAMA3;
  cuts.space = 1;
  cuts.newline = prefix ? 0 : llama ? 1 : 2;
  cuts.after = !prefix && llama;
  return cuts;
}

lsp_status lsp__cuts_find(lsp_tokenizer *t, lsp_failure *why) {
  lsp__cuts cuts = pattern_cuts(t);
  for (int i = 0; i < t->forms; i++)
    if (t->form[i] == LSP__NFKC || t->form[i] == LSP__NFKD)
      cuts.alnum = 1;
  lsp__normal work = {0};
  lsp_status status = LSP_OK;
  for (int64_t i = 0; i < t->names && status == LSP_OK; i++) {
    const lsp__name *name = &t->name[i];
    lsp__passage p = {.text = (const unsigned char *)name->text, .bytes = name->bytes};
    forbid_name(&cuts, name, p.text, p.bytes);
    status = lsp__normalize(t, &p, &work, why);
    if (status == LSP_OK && p.bytes > 0)
      forbid_name(&cuts, name, p.text, p.bytes);
  }
  lsp__normal_free(&work);
  t->cuts = cuts;
  return status;
}

/* ---- A place */

/* 1 if the character that ends before text[i] is certainly no white space, and an ASCII
 * letter or digit if it has to be one. */
static int solid_before(const unsigned char *text, size_t i, int alnum) {
  size_t bytes = 0;
  if (text[i - 1] < 0x80 || alnum)
    return alnum ? is_alnum(text[i - 1]) : !is_white(text[i - 1]);
  const int32_t c = lsp__character_before(text, i, &bytes);
  return c >= 0 && !lsp__is_space(c);
}

/* 1 if the character at text[i] is certainly no white space, and begins a stretch for any
 * normal form. */
static int solid_behind(const lsp_tokenizer *t, const unsigned char *text, size_t n,
                        size_t i) {
  size_t bytes = 0;
  if (text[i] < 0x80)
    return !is_white(text[i]);
  if (t->cuts.alnum || lsp_text_utf8((const char *)text + i, n - i) == 0)
    return 0;
  const int32_t c = lsp__character(text + i, n - i, &bytes);
  return !lsp__is_space(c) && lsp__form_boundary(LSP__NFKC, c);
}

int lsp__cut_is(const lsp_tokenizer *t, const unsigned char *text, size_t n, size_t i) {
  const lsp__cuts *cuts = &t->cuts;
  if (text[i] == ' ')
    return cuts->space && solid_before(text, i, cuts->alnum);
  if (is_white(text[i]))
    return cuts->newline && solid_before(text, i, cuts->alnum || cuts->newline == 1);
  return text[i - 1] == '\n' && cuts->after && solid_behind(t, text, n, i);
}

int64_t lsp_tokenizer_cut(const lsp_tokenizer *t, lsp_special special, const void *text,
                          int64_t bytes, int64_t from) {
  (void)special; /* the names of special tokens are looked for either way */
  if (!t->cuts.space && !t->cuts.newline && !t->cuts.after)
    return -1;
  for (int64_t i = from < 0 ? 1 : from + 1; i < bytes; i++)
    if (lsp__cut_is(t, text, (size_t)bytes, (size_t)i))
      return i;
  return -1;
}
