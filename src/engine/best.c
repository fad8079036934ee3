/* The best few of many. */
#include "picking.h"

#include <math.h>

static int is_better(float a, float b) {
  return isnan(b) ? !isnan(a) : a > b;
}

void lsp_best_offer(lsp_best *best, float score, int64_t block) {
  int at = best->count;
  while (at > 0 && is_better(score, best->score[at - 1]))
    at--;
  if (at == best->most)
    return;
  if (best->count < best->most)
    best->count++;
  for (int i = best->count - 1; i > at; i--) {
    best->score[i] = best->score[i - 1];
    best->block[i] = best->block[i - 1];
  }
  best->score[at] = score;
  best->block[at] = (int32_t)block;
}

void lsp_best_list(const lsp_best *best, int32_t *list) {
  for (int i = 0; i < best->most; i++)
    list[i] = -1;
  for (int i = 0; i < best->count; i++) {
    int at = i;
    for (; at > 0 && list[at - 1] > best->block[i]; at--)
      list[at] = list[at - 1];
    list[at] = best->block[i];
  }
}
