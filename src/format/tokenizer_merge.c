/* The ids of one piece: its bytes, of which the pair of neighbours with the lowest rank
 * becomes one, of equal ones the first, until no pair is in the table.
 *
 * A short piece looks through all its pairs each time. A long one keeps them in a heap,
 * by rank and place; what has changed since is dropped as it comes up. */
#include "tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

enum { SHORT_PIECE = 48 };

void lsp__pieces_free(lsp__pieces *w) {
  free(w->id);
  free(w->at);
  free(w->next);
  free(w->before);
  free(w->heap);
  memset(w, 0, sizeof *w);
}

/* The tokens of the bytes; a byte without one is left out, as the library does. */
static void read_bytes(const lsp_tokenizer *t, const unsigned char *text, size_t n,
                       lsp__pieces *w) {
  w->n = 0;
  for (size_t i = 0; i < n; i++) {
    const int32_t id = t->byte_id[text[i]];
    w->id[w->n] = id;
    w->at[w->n] = (uint32_t)i;
    w->n += id >= 0;
  }
}

static uint32_t rank_of(const lsp_tokenizer *t, int32_t left, int32_t right) {
  const lsp__merge *merge = lsp__merge_find(t, left, right);
  return merge == NULL ? UINT32_MAX : merge->rank;
}

static void merge_short(const lsp_tokenizer *t, lsp__pieces *w) {
  uint32_t rank[SHORT_PIECE + 1];
  size_t n = w->n;
  for (size_t i = 0; i + 1 < n; i++)
    rank[i] = rank_of(t, w->id[i], w->id[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; i++)
      best = rank[i] < rank[best] ? i : best;
    if (rank[best] == UINT32_MAX)
      break;
    w->id[best] = lsp__merge_find(t, w->id[best], w->id[best + 1])->id;
    n--;
    for (size_t i = best + 1; i < n; i++) {
      w->id[i] = w->id[i + 1];
      w->at[i] = w->at[i + 1];
      rank[i - 1] = rank[i];
    }
    if (best > 0)
      rank[best - 1] = rank_of(t, w->id[best - 1], w->id[best]);
    if (best + 1 < n)
      rank[best] = rank_of(t, w->id[best], w->id[best + 1]);
  }
  w->n = n;
}

/* ---- Long pieces */

static void heap_down(uint64_t *heap, size_t n, size_t i) {
  const uint64_t key = heap[i];
  for (size_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
    child += child + 1 < n && heap[child + 1] < heap[child];
    if (heap[child] >= key)
      break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = key;
}

static void heap_up(uint64_t *heap, size_t i) {
  const uint64_t key = heap[i];
  for (; i > 0 && heap[(i - 1) / 2] > key; i = (i - 1) / 2)
    heap[i] = heap[(i - 1) / 2];
  heap[i] = key;
}

/* The pair at `i` and its right neighbour, into the heap if it is in the table. */
static void push_pair(const lsp_tokenizer *t, lsp__pieces *w, int32_t i,
                      size_t *heaped) {
  if (i < 0 || w->next[i] < 0)
    return;
  const uint32_t rank = rank_of(t, w->id[i], w->id[w->next[i]]);
  if (rank == UINT32_MAX)
    return;
  w->heap[*heaped] = (uint64_t)rank << 32 | (uint32_t)i;
  heap_up(w->heap, (*heaped)++);
}

/* Closes the gaps that merges left; ids below 0 are gone. */
static void close_gaps(lsp__pieces *w) {
  size_t n = 0;
  for (size_t i = 0; i < w->n; i++)
    if (w->id[i] >= 0) {
      w->id[n] = w->id[i];
      w->at[n++] = w->at[i];
    }
  w->n = n;
}

/* Every merge takes a pair out of the heap and puts two in, so that it holds less than
 * three for each byte. */
static lsp_status merge_long(const lsp_tokenizer *t, lsp__pieces *w, lsp_failure *why) {
  LSP_TRY(lsp__grow(&w->next, &w->next_room, w->n, sizeof *w->next, why));
  LSP_TRY(lsp__grow(&w->before, &w->before_room, w->n, sizeof *w->before, why));
  LSP_TRY(lsp__grow(&w->heap, &w->heap_room, 3 * w->n, sizeof *w->heap, why));
  size_t heaped = 0;
  for (size_t i = 0; i < w->n; i++) {
    w->next[i] = i + 1 < w->n ? (int32_t)(i + 1) : -1;
    w->before[i] = (int32_t)i - 1;
  }
  for (size_t i = 0; i < w->n; i++)
    push_pair(t, w, (int32_t)i, &heaped);
  while (heaped > 0) {
    const uint32_t rank = (uint32_t)(w->heap[0] >> 32);
    const int32_t i = (int32_t)(uint32_t)w->heap[0];
    w->heap[0] = w->heap[--heaped];
    if (heaped > 0)
      heap_down(w->heap, heaped, 0);
    const int32_t right = w->id[i] < 0 ? -1 : w->next[i];
    const lsp__merge *merge =
        right < 0 ? NULL : lsp__merge_find(t, w->id[i], w->id[right]);
    if (merge == NULL || merge->rank != rank)
      continue;
    w->id[i] = merge->id;
    w->id[right] = -1;
    w->next[i] = w->next[right];
    if (w->next[i] >= 0)
      w->before[w->next[i]] = i;
    push_pair(t, w, w->before[i], &heaped);
    push_pair(t, w, i, &heaped);
  }
  close_gaps(w);
  return LSP_OK;
}

lsp_status lsp__merge_piece(const lsp_tokenizer *t, const unsigned char *text, size_t n,
                            lsp__pieces *w, lsp_failure *why) {
  if (n > INT32_MAX) /* neighbours are counted so */
    return lsp_fail(
        why, LSP_E_LIMIT,
        "the text has a piece of more than 2 GiB that its tokenizer does not "
        "split; give ids instead of text");
  LSP_TRY(lsp__grow(&w->id, &w->id_room, n + 1, sizeof *w->id, why));
  LSP_TRY(lsp__grow(&w->at, &w->at_room, n + 1, sizeof *w->at, why));
  const int32_t whole = t->ignore_merges ? lsp__word_find(t, text, n) : LSP__NO_TOKEN;
  if (whole != LSP__NO_TOKEN) {
    w->id[0] = whole;
    w->at[0] = 0;
    w->n = 1;
    return LSP_OK;
  }
  read_bytes(t, text, n, w);
  if (w->n > SHORT_PIECE)
    return merge_long(t, w, why);
  merge_short(t, w);
  return LSP_OK;
}
