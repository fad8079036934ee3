/* A set of numbers that is cleared often and read by many threads at once. */
#include "picking.h"

#include <stdlib.h>
#include <string.h>

/* A power of two that leaves half of the table empty. */
static int64_t table_of(int64_t room) {
  int64_t n = 2;
  while (n < 2 * room)
    n *= 2;
  return n;
}

int64_t lsp_key_set_size(int64_t room) {
  return room * (int64_t)sizeof(int64_t) + table_of(room) * (int64_t)sizeof(int32_t);
}

int lsp_key_set_open(lsp_key_set *s, int64_t room) {
  const int64_t n = table_of(room);
  *s = (lsp_key_set){.mask = (uint64_t)n - 1, .room = room};
  s->key = calloc((size_t)lsp_max(room, 1), sizeof *s->key);
  s->table = calloc((size_t)n, sizeof *s->table);
  return s->key != NULL && s->table != NULL;
}

void lsp_key_set_close(lsp_key_set *s) {
  free(s->key);
  free(s->table);
  memset(s, 0, sizeof *s);
}

void lsp_key_set_clear(lsp_key_set *s) {
  memset(s->table, 0, ((size_t)s->mask + 1) * sizeof *s->table);
  s->count = 0;
}

/* Where a key is, or would be. */
static uint64_t place_of(const lsp_key_set *s, int64_t key) {
  uint64_t at = ((uint64_t)key * 0x9E3779B97F4A7C15u) >> 20 & s->mask;
  while (s->table[at] != 0 && s->key[s->table[at] - 1] != key)
    at = (at + 1) & s->mask;
  return at;
}

int64_t lsp_key_set_find(const lsp_key_set *s, int64_t key) {
  return (int64_t)s->table[place_of(s, key)] - 1;
}

void lsp_key_set_put(lsp_key_set *s, int64_t key, int64_t number) {
  LSP_ASSERT(number >= 0 && number < s->room);
  s->key[number] = key;
  s->table[place_of(s, key)] = (int32_t)(number + 1);
}

int lsp_key_set_add(lsp_key_set *s, int64_t key) {
  if (lsp_key_set_find(s, key) >= 0)
    return 1;
  if (s->count == s->room)
    return 0;
  lsp_key_set_put(s, key, s->count++);
  return 1;
}
