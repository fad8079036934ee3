/* A text in pieces of any size, through all steps, to ids and places.
 *
 * Bytes are held until there are enough of them, then encoded up to the last place where
 * the text may be cut. A text without such places is held whole. A table remembers the
 * ids of short pieces: one line of cache each, a new one in place of the old. */
#include "tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
  HOLD = 256 << 10,
  HOLD_MOST = 1 << 30,
  CONTEXT = 8, /* bytes around a place that decide if it is a cut */
  TOKENS = 8192,
  SLOT_BITS = 16,
  SLOT_BYTES = 22,
  SLOT_IDS = 8,
  STACK_FIRST = 32 << 10,
  STACK_MOST = 16 << 20
};

typedef struct {
  unsigned char bytes, n; /* 0 bytes: empty */
  unsigned char at[SLOT_IDS];
  unsigned char text[SLOT_BYTES];
  int32_t id[SLOT_IDS];
} slot;

struct lsp_encoder {
  const lsp_tokenizer *t;
  lsp_special special;
  lsp_take_tokens take;
  void *arg;

  unsigned char *held;
  size_t n, room;
  size_t want;     /* bytes to be held before they are encoded */
  size_t searched; /* no place to cut before this byte */
  int64_t base;    /* of held[0] in the text */

  int32_t id[TOKENS];
  int64_t start[TOKENS];
  int64_t tokens, last; /* last: the highest start so far */

  slot *cache;
  lsp__buffer repaired, prefixed;
  lsp__normal normal;
  lsp__pieces pieces;
  pcre2_match_data *match;
  pcre2_match_context *context;
  pcre2_jit_stack *stack;
};

/* ---- Tokens */

static lsp_status flush(lsp_encoder *e, lsp_failure *why) {
  const int64_t n = e->tokens;
  e->tokens = 0;
  return n == 0 ? LSP_OK : e->take(e->id, e->start, n, e->arg, why);
}

static lsp_status emit(lsp_encoder *e, int32_t id, int64_t start, lsp_failure *why) {
  e->last = start > e->last ? start : e->last;
  e->id[e->tokens] = id;
  e->start[e->tokens++] = e->last;
  return e->tokens < TOKENS ? LSP_OK : flush(e, why);
}

static lsp_status emit_pieces(lsp_encoder *e, const lsp__passage *p, lsp_failure *why) {
  const lsp__pieces *w = &e->pieces;
  LSP_TRY(lsp__merge_piece(e->t, p->text, p->bytes, &e->pieces, why));
  for (size_t k = 0; k < w->n; k++)
    LSP_TRY(emit(e, w->id[k], lsp__place(p, w->at[k]), why));
  return LSP_OK;
}

static void remember(const lsp__passage *p, const lsp__pieces *w, slot *s) {
  if (w->n > SLOT_IDS)
    return;
  s->bytes = (unsigned char)p->bytes;
  s->n = (unsigned char)w->n;
  memcpy(s->text, p->text, p->bytes);
  for (size_t k = 0; k < w->n && k < SLOT_IDS; k++) {
    s->id[k] = w->id[k];
    s->at[k] = (unsigned char)w->at[k];
  }
}

/* One piece, which no rule splits any more. */
static lsp_status encode_piece(lsp_encoder *e, const lsp__passage *p,
                               lsp_failure *why) {
  if (p->bytes > SLOT_BYTES)
    return emit_pieces(e, p, why);
  slot *s = &e->cache[XXH3_64bits(p->text, p->bytes) >> (64 - SLOT_BITS)];
  if (s->bytes != p->bytes || memcmp(s->text, p->text, p->bytes) != 0) {
    LSP_TRY(emit_pieces(e, p, why));
    remember(p, &e->pieces, s);
    return LSP_OK;
  }
  for (size_t k = 0; k < s->n; k++)
    LSP_TRY(emit(e, s->id[k], lsp__place(p, s->at[k]), why));
  return LSP_OK;
}

/* ---- Splitting rules */

static lsp_status apply_rules(lsp_encoder *e, const lsp__passage *p, int rule,
                              lsp_failure *why);

/* Part [first, end) of a passage, if there is any, through the rules from `rule` on. */
static lsp_status apply_part(lsp_encoder *e, const lsp__passage *p, size_t first,
                             size_t end, int rule, lsp_failure *why) {
  if (first == end)
    return LSP_OK;
  const lsp__passage part = lsp__part(p, first, end);
  return apply_rules(e, &part, rule, why);
}

/* The next match of a pattern from `from` on; *end 0: none. */
static lsp_status find_match(lsp_encoder *e, const lsp__rule *rule,
                             const lsp__passage *p, size_t from, size_t *first,
                             size_t *end, lsp_failure *why) {
  int found = PCRE2_ERROR_JIT_STACKLIMIT;
  if (rule->jit)
    found = pcre2_jit_match(rule->code, p->text, p->bytes, from, PCRE2_NO_UTF_CHECK,
                            e->match, e->context);
  if (found == PCRE2_ERROR_JIT_STACKLIMIT)
    found = pcre2_match(rule->code, p->text, p->bytes, from,
                        PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, e->match, e->context);
  *end = 0;
  if (found == PCRE2_ERROR_NOMATCH)
    return LSP_OK;
  if (found < 0)
    return lsp_fail(
        why, LSP_E_LIMIT,
        "the splitting rule of the tokenizer cannot be followed at byte %lld "
        "of the text: PCRE2 gives up with error %d; make the ids with the "
        "tokenizer's own library and give them instead of text",
        (long long)lsp__place(p, from), found);
  const size_t *pair = pcre2_get_ovector_pointer(e->match);
  *first = pair[0];
  *end = pair[1];
  return LSP_OK;
}

static lsp_status apply_regex(lsp_encoder *e, const lsp__passage *p, int rule,
                              lsp_failure *why) {
  size_t first = 0;
  size_t end = 0;
  for (size_t at = 0; at < p->bytes; at = end) {
    LSP_TRY(find_match(e, &e->t->rule[rule], p, at, &first, &end, why));
    if (end == 0)
      return apply_part(e, p, at, p->bytes, rule + 1, why);
    LSP_TRY(apply_part(e, p, at, first, rule + 1, why));
    LSP_TRY(apply_part(e, p, first, end, rule + 1, why));
  }
  return LSP_OK;
}

/* Numbers alone or in runs, and what is between them. */
static lsp_status apply_digits(lsp_encoder *e, const lsp__passage *p, int rule,
                               lsp_failure *why) {
  const int runs = e->t->rule[rule].kind == LSP__RULE_DIGITS;
  size_t first = 0; /* of the part that goes on */
  int numbers = 0;  /* it is one of numbers */
  for (size_t i = 0, bytes = 0; i < p->bytes; i += bytes) {
    const int number =
        lsp__is_number(lsp__character(p->text + i, p->bytes - i, &bytes));
    if (number == numbers && (!number || runs))
      continue;
    LSP_TRY(apply_part(e, p, first, i, rule + 1, why));
    first = i;
    numbers = number;
  }
  return apply_part(e, p, first, p->bytes, rule + 1, why);
}

static lsp_status apply_prefix(lsp_encoder *e, const lsp__passage *p, int rule,
                               lsp_failure *why) {
  if (p->text[0] == ' ')
    return apply_rules(e, p, rule + 1, why);
  e->prefixed.bytes = 0;
  LSP_TRY(lsp__buffer_reserve(&e->prefixed, p->bytes + 1, why));
  e->prefixed.text[0] = ' ';
  memcpy(e->prefixed.text + 1, p->text, p->bytes);
  lsp__passage prefixed = *p;
  prefixed.text = e->prefixed.text;
  prefixed.bytes = p->bytes + 1;
  prefixed.prefix = 1;
  return apply_rules(e, &prefixed, rule + 1, why);
}

/* Not deeper than there are rules. */
static lsp_status apply_rules(lsp_encoder *e, const lsp__passage *p, int rule,
                              lsp_failure *why) {
  if (rule == e->t->rules)
    return encode_piece(e, p, why);
  switch (e->t->rule[rule].kind) {
  case LSP__RULE_REGEX:
    return apply_regex(e, p, rule, why);
  case LSP__RULE_PREFIX:
    return apply_prefix(e, p, rule, why);
  default:
    return apply_digits(e, p, rule, why);
  }
}

/* ---- Added tokens and normal forms */

typedef lsp_status (*encode_gap)(lsp_encoder *e, lsp__passage *p, lsp_failure *why);

static lsp_status split_names(lsp_encoder *e, const lsp__passage *p,
                              const lsp__tree *tree, encode_gap gap, lsp_failure *why) {
  lsp__search search = {.tree = tree, .special = e->special};
  size_t first = 0;
  size_t end = 0;
  for (int32_t name = 0; name >= 0;) {
    name = lsp__name_next(e->t, p, &search, &first, &end);
    if (name < 0)
      first = p->bytes;
    if (search.covered < first) {
      lsp__passage part = lsp__part(p, search.covered, first);
      LSP_TRY(gap(e, &part, why));
    }
    if (name < 0)
      break;
    LSP_TRY(emit(e, e->t->name[name].id, lsp__place(p, first), why));
    search.covered = end;
  }
  return LSP_OK;
}

static lsp_status encode_plain(lsp_encoder *e, lsp__passage *p, lsp_failure *why) {
  return apply_rules(e, p, 0, why);
}

static lsp_status encode_normal(lsp_encoder *e, lsp__passage *p, lsp_failure *why) {
  LSP_TRY(lsp__normalize(e->t, p, &e->normal, why));
  return split_names(e, p, &e->t->normal, encode_plain, why);
}

/* The first n bytes held, which are then no longer held. */
static lsp_status encode_held(lsp_encoder *e, size_t n, lsp_failure *why) {
  if (n == 0)
    return LSP_OK;
  lsp__passage p = {.text = e->held, .bytes = n, .base = e->base};
  const uint64_t limit = 10000000 + 100 * (uint64_t)n;
  if (n == 0)
    return LSP_OK;
  (void)pcre2_set_match_limit(e->context,
                              limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX);
  LSP_TRY(lsp__repair(&p, &e->repaired, why));
  LSP_TRY(split_names(e, &p, &e->t->raw, encode_normal, why));
  e->n -= n;
  e->base += (int64_t)n;
  memmove(e->held, e->held + n, e->n);
  return LSP_OK;
}

/* ---- The interface */

void lsp_encoder_close(lsp_encoder **e) {
  if (*e == NULL)
    return;
  free((*e)->held);
  free((*e)->cache);
  lsp__buffer_free(&(*e)->repaired);
  lsp__buffer_free(&(*e)->prefixed);
  lsp__normal_free(&(*e)->normal);
  lsp__pieces_free(&(*e)->pieces);
  pcre2_match_data_free((*e)->match);
  pcre2_match_context_free((*e)->context);
  pcre2_jit_stack_free((*e)->stack);
  free(*e);
  *e = NULL;
}

lsp_status lsp_encoder_open(const lsp_tokenizer *t, lsp_special special,
                            lsp_take_tokens take, void *arg, lsp_encoder **out,
                            lsp_failure *why) {
  lsp_encoder *e = calloc(1, sizeof *e);
  *out = e;
  if (e != NULL) {
    e->cache = calloc((size_t)1 << SLOT_BITS, sizeof *e->cache);
    e->match = pcre2_match_data_create(1, NULL);
    e->context = pcre2_match_context_create(NULL);
    e->stack = pcre2_jit_stack_create(STACK_FIRST, STACK_MOST, NULL);
  }
  if (e == NULL || e->cache == NULL || e->match == NULL || e->context == NULL) {
    lsp_encoder_close(out);
    return lsp_fail(why, LSP_E_MEMORY, "not enough memory to tokenize text");
  }
  if (e->stack != NULL) /* NULL: PCRE2 was built without its compiler */
    pcre2_jit_stack_assign(e->context, NULL, e->stack);
  e->t = t;
  e->special = special;
  e->take = take;
  e->arg = arg;
  e->want = HOLD;
  return LSP_OK;
}

/* Encodes what is held up to the last place where it may be cut; where there is none, more
 * is to be held. */
static lsp_status encode_most(lsp_encoder *e, lsp_failure *why) {
  size_t cut = e->n - 1;
  while (cut > e->searched && !lsp__cut_is(e->t, e->held, e->n, cut))
    cut--;
  if (cut > e->searched) {
    LSP_TRY(encode_held(e, cut, why));
    e->want = HOLD;
  } else if (e->n >= HOLD_MOST) {
    return lsp_fail(why, LSP_E_LIMIT,
                    "the text has no place in 1 GiB where its tokenizer would allow a "
                    "cut; give ids instead of text");
  } else {
    e->want = 2 * e->n;
  }
  e->searched = e->n > CONTEXT ? e->n - CONTEXT : 0;
  return LSP_OK;
}

lsp_status lsp_encoder_put(lsp_encoder *e, const void *text, size_t bytes,
                           lsp_failure *why) {
  const unsigned char *from = text;
  while (bytes > 0) {
    const size_t part = bytes < HOLD ? bytes : HOLD;
    LSP_TRY(lsp__grow(&e->held, &e->room, e->n + part, 1, why));
    memcpy(e->held + e->n, from, part);
    e->n += part;
    from += part;
    bytes -= part;
    if (e->n >= e->want)
      LSP_TRY(encode_most(e, why));
  }
  return LSP_OK;
}

lsp_status lsp_encoder_end(lsp_encoder *e, int64_t start, lsp_failure *why) {
  lsp_status status = encode_held(e, e->n, why);
  if (status == LSP_OK)
    status = flush(e, why);
  e->n = e->searched = 0;
  e->want = HOLD;
  e->tokens = 0;
  e->base = start;
  e->last = start;
  return status;
}
