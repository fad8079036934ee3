/* How fast text becomes ids: MB/s of a tokenizer on one core, over whole files in memory.
 *
 *   tokenizer_rate TOKENIZER.JSON TEXT...
 *
 * A line a file: bytes, tokens, the median of 5 times in MB/s of processor time, and the
 * XXH3 of the ids, which tokenizer_rate.py compares with the library's. */
#include "lsp/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xxhash.h>

enum { TIMES = 5, PIECE = 1 << 20 };

typedef struct {
  XXH3_state_t *hash;
  int64_t n;
} sum;

static lsp_status take(const int32_t *id, const int64_t *start, int64_t n, void *arg,
                       lsp_failure *why) {
  sum *s = arg;
  (void)start;
  (void)why;
  (void)XXH3_64bits_update(s->hash, id, (size_t)n * sizeof *id);
  s->n += n;
  return LSP_OK;
}

static char *read_file(const char *path, size_t *bytes) {
  FILE *in = fopen(path, "rb");
  if (in == NULL || fseek(in, 0, SEEK_END) != 0) {
    perror(path);
    exit(1);
  }
  *bytes = (size_t)ftell(in);
  rewind(in);
  char *text = malloc(*bytes + 1);
  if (text == NULL || fread(text, 1, *bytes, in) != *bytes) {
    perror(path);
    exit(1);
  }
  (void)fclose(in);
  return text;
}

static double seconds(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void need(lsp_status status, const lsp_failure *why) {
  if (status == LSP_OK)
    return;
  (void)fprintf(stderr, "%s\n", why->text);
  exit(1);
}

/* Seconds for one text, by an encoder that has seen none. */
static double encode(const lsp_tokenizer *t, const char *text, size_t bytes, sum *s) {
  lsp_failure why = {0};
  lsp_encoder *e = NULL;
  s->n = 0;
  (void)XXH3_64bits_reset(s->hash);
  const double began = seconds();
  need(lsp_encoder_open(t, LSP_SPECIAL_TEXT, take, s, &e, &why), &why);
  for (size_t i = 0; i < bytes; i += PIECE)
    need(lsp_encoder_put(e, text + i, bytes - i < PIECE ? bytes - i : PIECE, &why),
         &why);
  need(lsp_encoder_end(e, 0, &why), &why);
  const double took = seconds() - began;
  lsp_encoder_close(&e);
  return took;
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a;
  const double y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  lsp_failure why = {0};
  lsp_tokenizer *t = NULL;
  size_t bytes = 0;
  if (argc < 3) {
    (void)fprintf(stderr, "usage: %s TOKENIZER.JSON TEXT...\n", argv[0]);
    return 2;
  }
  char *json = read_file(argv[1], &bytes);
  need(lsp_tokenizer_parse(argv[1], json, bytes, &t, &why), &why);
  free(json);
  sum s = {.hash = XXH3_createState()};
  for (int i = 2; i < argc && s.hash != NULL; i++) {
    double took[TIMES];
    char *text = read_file(argv[i], &bytes);
    for (int k = 0; k < TIMES; k++)
      took[k] = encode(t, text, bytes, &s);
    qsort(took, TIMES, sizeof *took, by_size);
    printf("%s\t%zu\t%lld\t%.2f\t%016llx\n", argv[i], bytes, (long long)s.n,
           (double)bytes / 1e6 / took[TIMES / 2],
           (unsigned long long)XXH3_64bits_digest(s.hash));
    free(text);
  }
  (void)XXH3_freeState(s.hash);
  lsp_tokenizer_close(&t);
  return 0;
}
