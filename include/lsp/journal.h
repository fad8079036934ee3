/* The journal of a run that is under way: what has been committed.
 *
 *   FILE.h5.journal = header | record 0 | record 1 | ...
 *   header: magic "LSPJRNL1", u32 version, u32 bytes of the identity text, XXH3-64 of
 *           the rest, the identity text: a JSON object of strings (what the run is made
 *           of: layout, model, input, semantic options, kernels), zeros up to a multiple
 *           of 128
 *   record: 128 bytes, little-endian, as lsp_commit below with the previous record's
 *           checksum and its own (XXH3-64)
 *
 * A record counts when it is whole and names its predecessor. What follows the last such
 * record is dropped: part of a record that the run was writing when it ended, or, where
 * the file was damaged, records that are lost. Local; rank 0 only. */
#ifndef LSP_JOURNAL_H
#define LSP_JOURNAL_H

#include "lsp/status.h"

#include <stdint.h>

typedef struct {
  int64_t panel_end; /* panels of the corpus finished, from its beginning */
  int64_t token_end; /* tokens finished */
  /* The memory at this place, in FILE.h5.slot (lsp/store.h): */
  int64_t memory_end; /* rows of its log so far */
  int64_t
      memory_rows; /* below 2^62: how many of the last ones are the memory of a layer that keeps
                          all R; 0: none is needed (between documents) */
  int64_t fixed_rows; /* first rows of the document under way, below 2^31; 0: none */
  int64_t fixed_at;   /* memory_end before the commit that wrote them */
  int32_t fixed_area; /* 0 or 1: where they lie; stays while there are none */
  int32_t fixed_new;  /* to lsp_store_commit: 1 if its wave wrote them; not kept, 0 in
                          what is read */
  int32_t has_parts;  /* 1: its parts are in the slot; filled in by lsp_store_commit */
  int64_t open_count; /* predicted tokens so far of the document under way */
  uint64_t open_low;  /* its nll so far, 2^-40 nat, 128 bits */
  int64_t open_high;
  int64_t corpus_count; /* the same over everything finished, for the progress line */
  uint64_t corpus_low;
  int64_t corpus_high;
  int64_t open_not_finite; /* predicted tokens whose nll is not finite: of the document
                              under way, and of everything finished */
  int64_t corpus_not_finite;
} lsp_commit;

/* A sum of nll: 128 bits of 2^-40 nat. 2^50 tokens of less than 2^37 nats fit. */
__extension__ typedef __int128 lsp_nats;

static inline lsp_nats lsp_nats_of(uint64_t low, int64_t high) {
  return ((lsp_nats)high << 64) + (lsp_nats)low;
}

/* In nats. */
static inline double lsp_nats_value(lsp_nats n) {
  return (double)n * 0x1p-40;
}

typedef struct lsp_journal lsp_journal;

/* Makes a journal with no record (tmp, fsync, rename, fsync of the folder).
 * identity: pairs of strings, kept in order. */
lsp_status lsp_journal_create(const char *path, const char *identity_json,
                              lsp_journal **out, lsp_failure *why);

/* Opens an existing one and finds its last record that counts; nothing is changed.
 * LSP_E_INPUT: there is none; LSP_E_FORMAT: it is none, or its header is damaged. */
lsp_status lsp_journal_open(const char *path, lsp_journal **out, lsp_failure *why);

/* The identity text alone, which the caller frees; changes nothing. Statuses as above.
 */
lsp_status lsp_journal_peek(const char *path, char **identity_json, lsp_failure *why);

void lsp_journal_close(lsp_journal **j);

const char *lsp_journal_identity(const lsp_journal *j); /* lent */
int64_t lsp_journal_count(const lsp_journal *j);
/* Record i of count, oldest first. */
void lsp_journal_at(const lsp_journal *j, int64_t i, lsp_commit *out);
/* Bytes after the last record that counts; the next append or truncation cuts them off.
 * They are torn if they can be of one record alone that a run was writing when it ended;
 * else records are lost. */
int64_t lsp_journal_tail(const lsp_journal *j);
int lsp_journal_is_torn(const lsp_journal *j);
/* Drops records from i on (a record whose memory turned out bad). */
lsp_status lsp_journal_truncate(lsp_journal *j, int64_t i, lsp_failure *why);
/* Appends and syncs. After a failure the journal takes nothing more. LSP_E_MISMATCH:
 * the file is not as we left it, somebody else writes to it. */
lsp_status lsp_journal_append(lsp_journal *j, const lsp_commit *c, lsp_failure *why);

#endif
