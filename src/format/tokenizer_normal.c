/* From the bytes of a text to the characters that the splitting rules see: U+FFFD for what
 * is no UTF-8, then Unicode's normal forms (UAX 15), each byte with the place in the text
 * where the character began that it comes from.
 *
 * utf8proc has the data: decompositions, combining classes, and compositions of a pair.
 * The text is taken in stretches that are normalized apart: from a character that begins
 * one (a starter that composes with nothing before it) to the next. What a normal form
 * leaves as it is, is not copied. */
#include "tokenizer_internal.h"

#include "lsp/text.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { DECOMPOSED_MOST = 32 };

/* ---- Memory */

lsp_status lsp__grow(void *list, size_t *room, size_t want, size_t size,
                     lsp_failure *why) {
  if (want <= *room)
    return LSP_OK;
  const size_t wider = want > 2 * *room ? want : 2 * *room;
  void *old = NULL;
  memcpy(&old, list, sizeof old);
  void *more =
      size == 0 || wider > PTRDIFF_MAX / size ? NULL : realloc(old, wider * size);
  if (more == NULL)
    return lsp_fail(
        why, LSP_E_MEMORY,
        "not enough memory to tokenize a stretch of text without a place to "
        "cut it");
  memcpy(list, &more, sizeof more);
  *room = wider;
  return LSP_OK;
}

lsp_status lsp__buffer_reserve(lsp__buffer *b, size_t more, lsp_failure *why) {
  size_t room = b->room;
  if (more > UINT32_MAX - b->bytes) /* places are counted so */
    return lsp_fail(
        why, LSP_E_LIMIT,
        "the text has no place where its tokenizer would allow a cut before "
        "it takes 4 GiB in its normal form; give ids instead of text");
  LSP_TRY(lsp__grow(&b->text, &room, b->bytes + more, sizeof *b->text, why));
  return lsp__grow(&b->place, &b->room, room, sizeof *b->place, why);
}

void lsp__buffer_free(lsp__buffer *b) {
  free(b->text);
  free(b->place);
  memset(b, 0, sizeof *b);
}

void lsp__normal_free(lsp__normal *work) {
  lsp__buffer_free(&work->out[0]);
  lsp__buffer_free(&work->out[1]);
  free(work->from.c);
  free(work->from.place);
  free(work->to.c);
  free(work->to.place);
  memset(work, 0, sizeof *work);
}

/* ---- U+FFFD */

/* Bytes of the ill-formed sequence at text[0..n), n > 0: the longest beginning of a
 * character that is there, or one byte. */
static size_t ill_formed(const unsigned char *text, size_t n) {
  const unsigned char c = text[0];
  if (c < 0xc2 || c > 0xf4 || n == 1)
    return 1;
  const unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  const size_t length = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
  if (text[1] < low || text[1] > high)
    return 1;
  size_t i = 2;
  while (i < length && i < n && (text[i] & 0xc0) == 0x80)
    i++;
  return i;
}

/* Bytes of the well-formed text at the beginning of text[0..n). */
static size_t well_formed(const unsigned char *text, size_t n) {
  size_t i = 0;
  while (i < n) {
    uint64_t eight = 0;
    if (n - i >= sizeof eight) {
      memcpy(&eight, text + i, sizeof eight);
      if ((eight & UINT64_C(0x8080808080808080)) == 0) {
        i += sizeof eight;
        continue;
      }
    }
    const size_t length =
        text[i] < 0x80 ? 1 : lsp_text_utf8((const char *)text + i, n - i);
    if (length == 0)
      break;
    i += length;
  }
  return i;
}

lsp_status lsp__repair(lsp__passage *p, lsp__buffer *b, lsp_failure *why) {
  size_t good = well_formed(p->text, p->bytes);
  if (good == p->bytes)
    return LSP_OK;
  b->bytes = 0;
  for (size_t i = 0; i < p->bytes;) {
    LSP_TRY(lsp__buffer_reserve(b, good + 3, why));
    memcpy(b->text + b->bytes, p->text + i, good);
    for (size_t k = 0; k < good; k++)
      b->place[b->bytes + k] = (uint32_t)(i + k);
    b->bytes += good;
    i += good;
    if (i == p->bytes)
      break;
    memcpy(b->text + b->bytes, "\xef\xbf\xbd", 3);
    for (size_t k = 0; k < 3; k++)
      b->place[b->bytes + k] = (uint32_t)i;
    b->bytes += 3;
    i += ill_formed(p->text + i, p->bytes - i);
    good = well_formed(p->text + i, p->bytes - i);
  }
  p->text = b->text;
  p->bytes = b->bytes;
  p->place = b->place;
  return LSP_OK;
}

/* ---- Normal forms */

static int is_compatible(lsp__form form) {
  return form == LSP__NFKC || form == LSP__NFKD;
}

static int composes(lsp__form form) {
  return form == LSP__NFC || form == LSP__NFKC;
}

/* The library's normal forms know Unicode 9: later characters neither decompose nor
 * compose there, and later marks stay where they are. */
typedef struct {
  int32_t first, last;
} range;

static int is_among(const range *list, size_t n, int32_t c) {
  size_t low = 0;
  for (size_t high = n; low < high;) {
    const size_t middle = low + (high - low) / 2;
    if (list[middle].last < c)
      low = middle + 1;
    else
      high = middle;
  }
  return low < n && list[low].first <= c;
}

static int decomposes_since(int32_t c) {
  static const range since[] = {
      {0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},   {0xab69, 0xab69},   {0x10781, 0x107ba},
      {0x11938, 0x11938}, {0x1e030, 0x1e06d}, {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9}};
  return c >= 0x32ff && is_among(since, sizeof since / sizeof since[0], c);
}

static int is_mark_since(int32_t c) {
  static const range since[] = {
      {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
      {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},
      {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},   {0x10d24, 0x10d27},
      {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
      {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
      {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34},
      {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45},
      {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f},
      {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef},
  };
  return c >= 0x7fd && is_among(since, sizeof since / sizeof since[0], c);
}

static int combining_class(int32_t c) {
  const int class = utf8proc_get_property(c)->combining_class;
  return class != 0 && is_mark_since(c) ? 0 : class;
}

static size_t decompose(lsp__form form, int32_t c, int32_t out[DECOMPOSED_MOST]) {
  int last = 0;
  const utf8proc_option_t options =
      (utf8proc_option_t)(UTF8PROC_DECOMPOSE |
                          (is_compatible(form) ? UTF8PROC_COMPAT : 0));
  const utf8proc_ssize_t n =
      utf8proc_decompose_char(c, out, DECOMPOSED_MOST, options, &last);
  if (n > 0 && n <= DECOMPOSED_MOST && !decomposes_since(c))
    return (size_t)n;
  out[0] = c;
  return 1;
}

/* A vowel or final consonant of Hangul, which composes with what stands before. */
static int is_jamo_behind(int32_t c) {
  return (c >= 0x1160 && c <= 0x11ff) || (c >= 0xd7b0 && c <= 0xd7ff);
}

int lsp__form_boundary(lsp__form form, int32_t c) {
  int32_t part[DECOMPOSED_MOST];
  if (c < 0x300 && !is_compatible(form))
    return 1;
  if (c < 0x80)
    return 1;
  (void)decompose(form, c, part);
  const utf8proc_category_t category = utf8proc_category(part[0]);
  const int is_mark =
      category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
  return !is_mark && combining_class(part[0]) == 0 && !is_jamo_behind(part[0]);
}

/* 1: the form leaves c, a starter with no mark behind it, as it is. */
static int is_stable(lsp__form form, int32_t c) {
  if (c < 0x80 || (c < 0x300 && form == LSP__NFC))
    return 1;
  const utf8proc_property_t *property = utf8proc_get_property(c);
  if (property->decomp_seqindex == UINT16_MAX)
    return form == LSP__NFC || form == LSP__NFKC || c < 0xac00 || c > 0xd7a3;
  return property->decomp_type != 0 && !is_compatible(form);
}

static lsp_status add_character(lsp__characters *list, int32_t c, uint32_t place,
                                lsp_failure *why) {
  LSP_TRY(lsp__grow(&list->c, &list->room, list->n + 1, sizeof *list->c, why));
  LSP_TRY(lsp__grow(&list->place, &list->place_room, list->n + 1, sizeof *list->place,
                    why));
  list->c[list->n] = c;
  list->place[list->n++] = place;
  return LSP_OK;
}

/* Orders marks that follow each other by class, equal ones as they stand: list[first..end)
 * through `to`, of which nothing is left. */
static lsp_status order_marks(lsp__characters *list, size_t first, size_t end,
                              lsp__characters *to, lsp_failure *why) {
  size_t count[257] = {0};
  for (size_t i = first; i < end; i++) {
    LSP_TRY(add_character(to, 0, 0, why));
    count[combining_class(list->c[i]) + 1]++;
  }
  for (size_t k = 1; k < 257; k++)
    count[k] += count[k - 1];
  for (size_t i = first; i < end; i++) {
    const size_t at = count[combining_class(list->c[i])]++;
    to->c[at] = list->c[i];
    to->place[at] = list->place[i];
  }
  memcpy(list->c + first, to->c, (end - first) * sizeof *to->c);
  memcpy(list->place + first, to->place, (end - first) * sizeof *to->place);
  to->n = 0;
  return LSP_OK;
}

static lsp_status order_all(lsp__characters *list, lsp__characters *to,
                            lsp_failure *why) {
  to->n = 0;
  for (size_t i = 0; i < list->n;) {
    size_t end = i;
    while (end < list->n && combining_class(list->c[end]) != 0)
      end++;
    if (end - i > 1)
      LSP_TRY(order_marks(list, i, end, to, why));
    i = end + 1;
  }
  return LSP_OK;
}

/* The composition of two characters; -1: none. */
static int32_t compose_pair(int32_t first, int32_t second) {
  utf8proc_int32_t pair[2] = {first, second};
  const utf8proc_option_t options =
      (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const utf8proc_ssize_t n = utf8proc_normalize_utf32(pair, 2, options);
  return n == 1 && !decomposes_since(pair[0]) ? pair[0] : -1;
}

/* A character composes with the last starter unless one of its own class or a starter
 * stands between them. */
static void compose_all(lsp__characters *list) {
  size_t n = 0;
  size_t starter = SIZE_MAX;
  int last = 0;
  for (size_t i = 0; i < list->n; i++) {
    const int32_t c = list->c[i];
    const int class = combining_class(c);
    if (starter != SIZE_MAX && (starter + 1 == n || last < class)) {
      const int32_t both = compose_pair(list->c[starter], c);
      if (both >= 0) {
        list->c[starter] = both;
        continue;
      }
    }
    if (class == 0)
      starter = n;
    last = class;
    list->place[n] = list->place[i];
    list->c[n++] = c;
  }
  list->n = n;
}

/* The normal form of p[first..end), a stretch of its own, into work->from. */
static lsp_status normalize_stretch(lsp__form form, const lsp__passage *p, size_t first,
                                    size_t end, lsp__normal *work, lsp_failure *why) {
  lsp__characters *list = &work->from;
  list->n = 0;
  for (size_t i = first, length = 0; i < end; i += length) {
    int32_t part[DECOMPOSED_MOST];
    const int32_t c = lsp__character(p->text + i, end - i, &length);
    const size_t parts = decompose(form, c, part);
    for (size_t k = 0; k < parts; k++)
      LSP_TRY(add_character(list, part[k], (uint32_t)i, why));
  }
  LSP_TRY(order_all(list, &work->to, why));
  if (composes(form))
    compose_all(list);
  return LSP_OK;
}

/* 1 if the characters are those of the source. */
static int is_same(const lsp__passage *p, size_t first, size_t end,
                   const lsp__characters *list) {
  for (size_t k = 0; k < list->n; k++) {
    size_t length = 0;
    if (first >= end ||
        lsp__character(p->text + first, end - first, &length) != list->c[k])
      return 0;
    first += length;
  }
  return first == end;
}

/* Where byte i of p comes from, counted from its base. */
static uint32_t source(const lsp__passage *p, size_t i) {
  return p->place == NULL ? (uint32_t)i : p->place[i];
}

static lsp_status copy_source(const lsp__passage *p, size_t first, size_t end,
                              lsp__buffer *out, lsp_failure *why) {
  if (first == end)
    return LSP_OK;
  LSP_TRY(lsp__buffer_reserve(out, end - first, why));
  memcpy(out->text + out->bytes, p->text + first, end - first);
  for (size_t i = first; i < end; i++)
    out->place[out->bytes + i - first] = source(p, i);
  out->bytes += end - first;
  return LSP_OK;
}

static lsp_status copy_characters(const lsp__passage *p, const lsp__characters *list,
                                  lsp__buffer *out, lsp_failure *why) {
  uint32_t last = 0;
  LSP_TRY(lsp__buffer_reserve(out, 4 * list->n, why));
  for (size_t k = 0; k < list->n; k++) {
    const uint32_t place = source(p, list->place[k]);
    last = place > last ? place : last;
    const utf8proc_ssize_t n = utf8proc_encode_char(list->c[k], out->text + out->bytes);
    for (utf8proc_ssize_t i = 0; i < n; i++)
      out->place[out->bytes++] = last;
  }
  return LSP_OK;
}

/* The end of the stretch that begins at `first`. */
static size_t stretch_end(lsp__form form, const lsp__passage *p, size_t first) {
  size_t length = 0;
  size_t i = first;
  do {
    (void)lsp__character(p->text + i, p->bytes - i, &length);
    i += length;
  } while (
      i < p->bytes &&
      !lsp__form_boundary(form, lsp__character(p->text + i, p->bytes - i, &length)));
  return i;
}

/* The end of what a form leaves as it is: p[first..end), up to a stretch's beginning. */
static size_t stable_end(lsp__form form, const lsp__passage *p, size_t first) {
  size_t begin = first; /* of the last stretch */
  size_t length = 0;
  for (size_t i = first; i < p->bytes; i += length) {
    const int32_t c = lsp__character(p->text + i, p->bytes - i, &length);
    if (!lsp__form_boundary(form, c))
      return begin;
    begin = i;
    if (!is_stable(form, c))
      return begin;
  }
  return p->bytes;
}

static lsp_status normalize(lsp__form form, lsp__passage *p, lsp__normal *work,
                            lsp__buffer *out, lsp_failure *why) {
  size_t copied = 0; /* into out */
  int changed = 0;
  out->bytes = 0;
  for (size_t i = stable_end(form, p, 0); i < p->bytes; i = stable_end(form, p, i)) {
    const size_t end = stretch_end(form, p, i);
    LSP_TRY(normalize_stretch(form, p, i, end, work, why));
    if (!is_same(p, i, end, &work->from)) {
      changed = 1;
      LSP_TRY(copy_source(p, copied, i, out, why));
      LSP_TRY(copy_characters(p, &work->from, out, why));
      copied = end;
    }
    i = end;
    if (i == p->bytes)
      break;
  }
  if (!changed)
    return LSP_OK;
  LSP_TRY(copy_source(p, copied, p->bytes, out, why));
  p->text = out->text;
  p->bytes = out->bytes;
  p->place = out->place;
  return LSP_OK;
}

lsp_status lsp__normalize(const lsp_tokenizer *t, lsp__passage *p, lsp__normal *work,
                          lsp_failure *why) {
  for (int i = 0; i < t->forms; i++) {
    lsp__buffer *out = p->text == work->out[0].text ? &work->out[1] : &work->out[0];
    LSP_TRY(normalize(t->form[i], p, work, out, why));
  }
  return LSP_OK;
}
