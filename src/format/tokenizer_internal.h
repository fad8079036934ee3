/* What the files of the tokenizer share.
 *
 *   tokenizer_parse   a tokenizer.json, part by part; what is not known is refused
 *   tokenizer_model   its vocabulary and merges
 *   tokenizer_rules   its splitting rules; tokenizer_regex: a rule's pattern for PCRE2
 *   tokenizer_names   added tokens: found in a text, leftmost and longest first
 *   tokenizer_normal  U+FFFD for what is no UTF-8; Unicode normal forms
 *   tokenizer_merge   the ids of one piece
 *   tokenizer_encode  a text in pieces of any size, through all of these
 *   tokenizer_cut     where a text may be cut
 */
#ifndef LSP_TOKENIZER_INTERNAL_H
#define LSP_TOKENIZER_INTERNAL_H

#include "lsp/json.h"
#include "lsp/tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* ---- Places in a tokenizer.json, for messages: model.merges[12] */

typedef struct lsp__spot {
  const char *file;
  const struct lsp__spot *up; /* NULL: the whole file */
  const char *key;            /* NULL: element `index` of a list */
  int64_t index;
} lsp__spot;

lsp__spot lsp__spot_key(const lsp__spot *up, const char *key);
lsp__spot lsp__spot_at(const lsp__spot *up, int64_t index);

/* FILE: PLACE: is FOUND; expected WHAT; what to do. LSP_E_FORMAT. */
lsp_status lsp__spot_odd(const lsp__spot *s, const json_t *found, const char *expected,
                         lsp_failure *why);
/* FILE: PLACE: TEXT. */
lsp_status lsp__spot_fail(const lsp__spot *s, lsp_status status, const char *text,
                          lsp_failure *why);

/* Refuses a value that is no object, and a key that is not among the words of `known`. */
lsp_status lsp__spot_keys(const lsp__spot *s, const json_t *object, const char *known,
                          lsp_failure *why);

/* A truth value by its key; a missing or null one keeps what *value holds. */
lsp_status lsp__spot_bool(const lsp__spot *s, const json_t *object, const char *key,
                          int *value, lsp_failure *why);

/* Calls `read` for an object, or for each element of the list under `list` if the object's
 * type is Sequence, and of Sequences therein. NULL and null are nothing. */
typedef lsp_status (*lsp__read_part)(lsp_tokenizer *t, const lsp__spot *s,
                                     const json_t *part, const char *type,
                                     lsp_failure *why);
lsp_status lsp__read_parts(lsp_tokenizer *t, const lsp__spot *s, const json_t *part,
                           const char *list, lsp__read_part read, lsp_failure *why);

/* ---- A tokenizer */

enum {
  LSP__RULES_MOST = 8,
  LSP__FORMS_MOST = 4,
  LSP__IDS_MOST = 1 << 22,
  LSP__NO_TOKEN = -1,
  LSP__PATTERN_SIZE = 4096
};

typedef struct {
  const char *text; /* NULL: there is no such id; not ended by NUL */
  uint32_t bytes;
  int is_bytes; /* it is of the vocabulary, written in the alphabet of bytes */
} lsp__token;

/* A pair of neighbours and what they become; key 0: an empty slot (ids count from 1). */
typedef struct {
  uint64_t pair; /* (left + 1) << 32 | (right + 1) */
  uint32_t rank;
  int32_t id;
} lsp__merge;

typedef struct {
  const char *text;
  size_t bytes;
  int32_t id;
  int special, lstrip, rstrip, single_word, normalized;
} lsp__name;

typedef struct {
  int32_t child, sibling; /* 0: none */
  int32_t name;           /* that ends here; -1: none */
  unsigned char byte;
} lsp__node;

/* Names in a tree of bytes; node 0 is the root, whose children are in `first`. */
typedef struct {
  lsp__node *node;
  int32_t n, room;
  int32_t first[256]; /* 0: no name begins so */
} lsp__tree;

typedef enum { LSP__NFC, LSP__NFD, LSP__NFKC, LSP__NFKD } lsp__form;

typedef enum {
  LSP__RULE_REGEX,  /* matches, and what is between them */
  LSP__RULE_DIGIT,  /* every number alone */
  LSP__RULE_DIGITS, /* runs of numbers */
  LSP__RULE_PREFIX  /* puts a space before a piece that begins with none */
} lsp__rule_kind;

/* What is known of a pattern: where no piece of it can go on (tokenizer_cut.c). */
typedef enum {
  LSP__PATTERN_OTHER,
  LSP__PATTERN_GPT2,
  LSP__PATTERN_LLAMA3 /* also Qwen's, which differs in numbers alone */
} lsp__pattern;

typedef struct {
  lsp__rule_kind kind;
  lsp__pattern pattern;
  pcre2_code *code;
  int jit;
} lsp__rule;

/* Places where a text may be cut. */
typedef struct {
  int space;   /* before a space, behind what is no white space */
  int newline; /* before other white space: 2 behind what is none, 1 an ASCII letter or
                  digit */
  int after;   /* behind an end of line, before what is no white space */
  int alnum;   /* space and newline behind an ASCII letter or digit alone, and `after`
                  before ASCII alone */
} lsp__cuts;

struct lsp_tokenizer {
  lsp__token *token; /* (n) */
  int64_t n, vocabulary;
  int64_t next_id; /* of an added token that is not in the vocabulary */
  char *text;      /* of all tokens */
  size_t text_bytes;

  int32_t byte_id[256]; /* LSP__NO_TOKEN: a byte without a token */
  lsp__merge *merge;
  uint64_t merge_mask;
  int32_t *word; /* tokens by their bytes; LSP__NO_TOKEN: an empty slot */
  uint64_t word_mask;
  int ignore_merges;

  lsp__form form[LSP__FORMS_MOST];
  int forms;
  lsp__rule rule[LSP__RULES_MOST];
  int rules, byte_level;

  lsp__name *name;
  int64_t names;
  lsp__tree raw, normal; /* of names in the text as it is, and as it is normalized */
  lsp__cuts cuts;

  int32_t prefix[LSP_TEMPLATE_MOST];
  int prefixes;
  unsigned char hash[16];
};

/* ---- Its parts */

lsp_status lsp__tokenizer_read(lsp_tokenizer *t, const char *path, const json_t *json,
                               lsp_failure *why);
lsp_status lsp__model_read(lsp_tokenizer *t, const lsp__spot *root, const json_t *model,
                           lsp_failure *why);
lsp_status lsp__rules_read(lsp_tokenizer *t, const lsp__spot *root, const json_t *part,
                           lsp_failure *why);
/* id is that of `text` in the vocabulary, or the next one. */
lsp_status lsp__names_read(lsp_tokenizer *t, const lsp__spot *root, const json_t *list,
                           const json_t *vocabulary, lsp_failure *why);
lsp_status lsp__cuts_find(lsp_tokenizer *t, lsp_failure *why);
/* 1: text[0..n) may be cut before text[i], 0 < i < n. */
int lsp__cut_is(const lsp_tokenizer *t, const unsigned char *text, size_t n, size_t i);

/* Compiles a pattern as Oniguruma reads it in `tokenizers`. */
lsp_status lsp__regex_compile(const lsp__spot *s, const char *pattern, lsp__rule *rule,
                              lsp_failure *why);

/* A slot among mask + 1 for a key. */
static inline uint64_t lsp__mix(uint64_t key) {
  key ^= key >> 32;
  key *= UINT64_C(0x9e3779b97f4a7c15);
  return key ^ key >> 29;
}

/* The merge of two neighbours; NULL: they stay as they are. */
static inline const lsp__merge *lsp__merge_find(const lsp_tokenizer *t, int32_t left,
                                                int32_t right) {
  const uint64_t pair = ((uint64_t)left + 1) << 32 | ((uint64_t)right + 1);
  for (uint64_t i = lsp__mix(pair) & t->merge_mask;; i = (i + 1) & t->merge_mask) {
    if (t->merge[i].pair == pair)
      return &t->merge[i];
    if (t->merge[i].pair == 0)
      return NULL;
  }
}

/* The token of these bytes; LSP__NO_TOKEN: none. */
int32_t lsp__word_find(const lsp_tokenizer *t, const void *bytes, size_t n);

/* ---- Characters */

/* Unicode's White_Space. */
int lsp__is_space(int32_t c);
/* Letters, marks, numbers and connectors: \w. */
int lsp__is_word(int32_t c);
int lsp__is_letter(int32_t c);
int lsp__is_number(int32_t c);

/* The character at text[0..n), n > 0, which is well-formed; *bytes: of it. */
int32_t lsp__character(const unsigned char *text, size_t n, size_t *bytes);
/* The character that ends at text[n), n > 0; -1: not well-formed. */
int32_t lsp__character_before(const unsigned char *text, size_t n, size_t *bytes);

/* 1: a text may be cut before c, and both parts normalized apart. */
int lsp__form_boundary(lsp__form form, int32_t c);

/* ---- A text on its way */

/* Bytes with the places that they come from. */
typedef struct {
  const unsigned char *text;
  size_t bytes;
  const uint32_t *place; /* of each byte, counted from base; NULL: its own */
  int64_t base;
  int prefix; /* 1: text[0] is a space that was put before */
} lsp__passage;

static inline int64_t lsp__place(const lsp__passage *p, size_t i) {
  const size_t at = i > 0 && p->prefix ? i - 1 : i;
  return p->base + (p->place == NULL ? (int64_t)at : (int64_t)p->place[at]);
}

static inline lsp__passage lsp__part(const lsp__passage *p, size_t first, size_t end) {
  const size_t at = first > 0 && p->prefix ? first - 1 : first;
  lsp__passage part = {.text = p->text + first,
                       .bytes = end - first,
                       .place = p->place == NULL ? NULL : p->place + at,
                       .base = p->place == NULL ? p->base + (int64_t)at : p->base,
                       .prefix = first == 0 && p->prefix};
  return part;
}

/* Memory that grows and is used again. */
typedef struct {
  unsigned char *text;
  uint32_t *place;
  size_t bytes, room;
} lsp__buffer;

/* Room for `more` bytes and their places. */
lsp_status lsp__buffer_reserve(lsp__buffer *b, size_t more, lsp_failure *why);
void lsp__buffer_free(lsp__buffer *b);

/* Grows a list of items of `size` bytes to hold `want`. */
lsp_status lsp__grow(void *list, size_t *room, size_t want, size_t size,
                     lsp_failure *why);

/* *p with U+FFFD for what is not well-formed, as bytes.decode(errors="replace"): itself
 * or in b. */
lsp_status lsp__repair(lsp__passage *p, lsp__buffer *b, lsp_failure *why);

/* Characters with the places of the source characters they come from. */
typedef struct {
  int32_t *c;
  uint32_t *place;
  size_t n, room, place_room;
} lsp__characters;

typedef struct {
  lsp__buffer out[2];
  lsp__characters from, to;
} lsp__normal;

/* *p in the normal forms of t, one after the other: itself or in work. */
lsp_status lsp__normalize(const lsp_tokenizer *t, lsp__passage *p, lsp__normal *work,
                          lsp_failure *why);
void lsp__normal_free(lsp__normal *work);

/* ---- The ids of a piece */

typedef struct {
  int32_t *id;   /* (n) */
  uint32_t *at;  /* (n) the byte of the piece at which each begins */
  int32_t *next; /* (room): neighbours, for long pieces */
  int32_t *before;
  uint64_t *heap;
  size_t n, id_room, at_room, next_room, before_room, heap_room;
} lsp__pieces;

/* w->id and w->at for the bytes of one piece. */
lsp_status lsp__merge_piece(const lsp_tokenizer *t, const unsigned char *text, size_t n,
                            lsp__pieces *w, lsp_failure *why);
void lsp__pieces_free(lsp__pieces *w);

/* ---- Names in a text */

/* The longest name that begins at text[0..n); -1: none. */
int32_t lsp__tree_match(const lsp__tree *tree, const unsigned char *text, size_t n,
                        size_t *bytes);

/* The next name in a passage, as find_iter gives them: from *from on, which moves behind
 * it; with what it takes of the spaces around it. -1: no more. */
typedef struct {
  const lsp__tree *tree;
  lsp_special special;
  size_t from;    /* where to look on */
  size_t covered; /* what has been given out */
} lsp__search;
int32_t lsp__name_next(const lsp_tokenizer *t, const lsp__passage *p, lsp__search *s,
                       size_t *first, size_t *end);

#endif
