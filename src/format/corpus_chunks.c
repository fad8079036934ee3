/* Which chunks a corpus has, who reads them, and the hash of the corpus over theirs.
 *
 * What must hold: chunks are numbered through the documents in order, and shares are
 * whole chunks that cover all of them once, whatever their number. */
#include "lsp/corpus.h"

#include "corpus_internal.h"

#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

/* What opening a file and taking a hash cost, in bytes read. */
enum { CHUNK_COST = 16384 };

static int64_t chunks_of(const lsp_document *d) {
  return d->tokens / LSP_CHUNK_TOKENS + (d->tokens % LSP_CHUNK_TOKENS > 0);
}

int64_t lsp_corpus_chunks(const lsp_corpus *c) {
  if (c->count == 0)
    return 0;
  const lsp_document last = lsp_corpus_document(c, c->count - 1);
  return last.chunk + chunks_of(&last);
}

int64_t lsp__corpus_document_of(const lsp_corpus *c, int64_t chunk) {
  int64_t low = 0, high = c->count;
  LSP_ASSERT(chunk >= 0 && chunk < lsp_corpus_chunks(c));
  while (high - low > 1) { /* the last document that begins at the chunk or before */
    const int64_t middle = low + (high - low) / 2;
    if (lsp_corpus_document(c, middle).chunk <= chunk)
      low = middle;
    else
      high = middle;
  }
  return low;
}

static int64_t cost(const lsp_document *d) {
  return d->tokens * d->width + chunks_of(d) * CHUNK_COST;
}

int64_t lsp_corpus_share(const lsp_corpus *c, int64_t share, int64_t shares) {
  int64_t all = 0, before = 0;
  LSP_ASSERT(share >= 0 && share <= shares && shares > 0);
  for (int64_t d = 0; d < c->count; d++) {
    const lsp_document document = lsp_corpus_document(c, d);
    all += cost(&document);
  }
  const int64_t border = all / shares * share + all % shares * share / shares;
  for (int64_t d = 0; d < c->count; d++) {
    const lsp_document document = lsp_corpus_document(c, d);
    if (before + cost(&document) > border) {
      const int64_t step = LSP_CHUNK_TOKENS * (int64_t)document.width + CHUNK_COST;
      return document.chunk + (border - before + step - 1) / step;
    }
    before += cost(&document);
  }
  return lsp_corpus_chunks(c);
}

static void hash_number(XXH3_state_t *state, int64_t number) {
  (void)XXH3_128bits_update(state, &number, sizeof number);
}

lsp_status lsp_corpus_hash(const lsp_corpus *c, const lsp_chunk_hash *hash,
                           unsigned char out[16], lsp_failure *why) {
  XXH128_canonical_t canonical;
  XXH3_state_t *state = XXH3_createState();
  if (state == NULL)
    return lsp_fail(why, LSP_E_MEMORY, "not enough memory to hash the corpus");
  (void)XXH3_128bits_reset(state);
  hash_number(state, c->count);
  for (int64_t i = 0; i < c->count; i++) {
    const lsp_document d = lsp_corpus_document(c, i);
    hash_number(state, d.tokens);
    hash_number(state, d.width == 1 ? 1 : 4);
    if (d.tokens > 0)
      (void)XXH3_128bits_update(state, hash + d.chunk,
                                (size_t)chunks_of(&d) * sizeof *hash);
  }
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
  memcpy(out, canonical.digest, sizeof canonical.digest);
  (void)XXH3_freeState(state);
  return LSP_OK;
}

void lsp_corpus_expect(lsp_corpus *c, const lsp_chunk_hash *hash) {
  c->expected = hash;
}
