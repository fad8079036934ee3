/* Rounds: deal units, encode, find out where the ids go, write.
 *
 * What must hold: every rank walks through the units alike, so that nobody sends a list of
 * them; ranks hold tokens in the order of their units, and those up to the first one that
 * has not finished its own write in this round. The counts of tokens a document go to rank
 * 0 as they come. Both files are written in whole aligned units by one rank each, whatever
 * the round (lsp_route_rows with the bytes of a round as its dataset: the units at its
 * ends, which another round shares, are rank 0's). */
#include "lsp/spool.h"

#include "lsp/beat.h"
#include "lsp/durable.h"
#include "lsp/route.h"
#include "lsp/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  UNIT = 2 << 20, /* bytes of text */
  TOKENS =
      1 << 20, /* that a rank holds before it writes; a piece of text may add to it */
  PIECE = LSP_CHUNK_TOKENS, /* bytes that are read and encoded at once */
  OVERLAP = 4096,           /* of pieces in which a cut is looked for */
  DOCUMENTS = 4096          /* most that a rank has to do with in a round */
};

/* A unit of a document. */
typedef struct {
  int64_t document, unit;
} place;

/* Tokens of a document that a rank has made in a round. */
typedef struct {
  int64_t document, tokens;
} tally;

/* A file that all ranks write, and what became of that. */
typedef struct {
  const char *path; /* NULL: none */
  int fd;
  int64_t width; /* bytes a token */
  lsp_status status;
  lsp_failure *why;
} target;

typedef struct {
  lsp_ctx *ctx;
  lsp_corpus *text;
  const lsp_spool_spec *spec;
  int64_t unit;
  lsp_route *route;
  target ids, starts;
  int64_t written; /* tokens of all ranks */
  /* the units of this rank in this round, and where it is in them */
  place at, end;
  int64_t dealt, all; /* bytes of text that were dealt to all ranks; that there are */
  int inside;         /* of the part [begin, stop) of a document */
  int64_t begin, stop;
  lsp_encoder *encoder;
  unsigned char *piece; /* (PIECE) */
  uint32_t *id;         /* (room) */
  int64_t *start;       /* (room) */
  int64_t n, room;
  tally *tally; /* (DOCUMENTS + 1) */
  int tallies;
  int64_t *tokens; /* rank 0: (documents) */
  tally *gathered; /* rank 0: (P (DOCUMENTS + 1)) as far as they came */
  int *counts;     /* rank 0: (2 P) */
  double said;
} spooler;

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t bytes_of(const spooler *s, int64_t document) {
  return lsp_corpus_document(s->text, document).tokens;
}

/* --- dealing --------------------------------------------------------------------- */

/* Behind the units of one rank. */
static place after_batch(spooler *s, place p) {
  const int64_t count = lsp_corpus_count(s->text);
  int64_t taken = 0;
  for (int documents = 0;
       p.document < count && taken < s->unit && documents < DOCUMENTS; documents++) {
    const int64_t bytes = bytes_of(s, p.document), at = p.unit * s->unit;
    const int64_t most = smaller(bytes - at, s->unit);
    taken += most;
    p.unit++;
    if (at + most == bytes)
      p = (place){p.document + 1, 0};
  }
  s->dealt += taken;
  return p;
}

/* The units of a round; `next` goes behind them. */
static void deal(spooler *s, place *next) {
  for (int rank = 0; rank < s->ctx->size; rank++) {
    const place first = *next;
    *next = after_batch(s, first);
    if (rank == s->ctx->rank) {
      s->at = first;
      s->end = *next;
    }
  }
  s->inside = 0;
  s->tallies = 0;
}

static int is_done(const spooler *s) {
  return !s->inside && s->at.document == s->end.document && s->at.unit == s->end.unit;
}

/* --- parts of a text ------------------------------------------------------------- */

/* The first safe cut within unit `unit` of a document, or its beginning; -1: none. */
static lsp_status find_border(spooler *s, int64_t document, int64_t unit,
                              int64_t *border) {
  const int64_t bytes = bytes_of(s, document), from = unit * s->unit;
  const int64_t end = smaller(bytes, from + s->unit);
  *border = unit == 0 ? 0 : -1;
  if (unit == 0)
    return LSP_OK;
  for (int64_t at = from; at < end; at += PIECE - OVERLAP) {
    const int64_t n = smaller(PIECE, bytes - at);
    LSP_TRY(lsp_corpus_bytes(s->text, document, at, n, s->piece, &s->ctx->why));
    const int64_t cut =
        lsp_tokenizer_cut(s->spec->tokenizer, s->spec->special, s->piece, n, 0);
    lsp_beat();
    if (cut > 0 && at + cut < end)
      *border = at + cut;
    if (cut > 0)
      return LSP_OK;
  }
  return LSP_OK;
}

/* The part that begins in the unit s->at, if one does. */
static lsp_status enter_unit(spooler *s) {
  const int64_t document = s->at.document, bytes = bytes_of(s, document);
  LSP_TRY(find_border(s, document, s->at.unit, &s->begin));
  if (s->begin < 0 || bytes == 0)
    return LSP_OK;
  s->stop = -1;
  for (int64_t unit = s->at.unit + 1; s->stop < 0 && unit * s->unit < bytes; unit++)
    LSP_TRY(find_border(s, document, unit, &s->stop));
  if (s->stop < 0)
    s->stop = bytes;
  s->inside = 1;
  if (s->tallies == 0 || s->tally[s->tallies - 1].document != document)
    s->tally[s->tallies++] = (tally){document, 0};
  return lsp_encoder_end(s->encoder, s->begin, &s->ctx->why); /* of no text so far */
}

static void leave_unit(spooler *s) {
  s->inside = 0;
  s->at.unit++;
  if (s->at.unit * s->unit >= bytes_of(s, s->at.document))
    s->at = (place){s->at.document + 1, 0};
}

/* --- encoding -------------------------------------------------------------------- */

static lsp_status grow(spooler *s, int64_t n, lsp_failure *why) {
  int64_t room = s->room > 0 ? s->room : TOKENS;
  while (room < s->n + n)
    room *= 2;
  uint32_t *id = realloc(s->id, (size_t)room * sizeof *id);
  s->id = id != NULL ? id : s->id;
  int64_t *start = realloc(s->start, (size_t)room * sizeof *start);
  s->start = start != NULL ? start : s->start;
  if (id == NULL || start == NULL)
    return lsp_fail(
        why, LSP_E_MEMORY,
        "no memory for %lld tokens of a text without a place where it could "
        "be cut; insert line ends, or give more memory",
        (long long)room);
  s->room = room;
  return LSP_OK;
}

static lsp_status keep_tokens(const int32_t *id, const int64_t *start, int64_t n,
                              void *arg, lsp_failure *why) {
  spooler *s = arg;
  if (n == 0)
    return LSP_OK;
  if (s->n + n > s->room)
    LSP_TRY(grow(s, n, why));
  for (int64_t i = 0; i < n; i++) {
    s->id[s->n + i] = (uint32_t)id[i];
    s->start[s->n + i] = start[i];
  }
  s->n += n;
  LSP_ASSERT(s->tallies > 0);
  s->tally[s->tallies - 1].tokens += n;
  return LSP_OK;
}

static lsp_status encode_piece(spooler *s) {
  const int64_t n = smaller(s->stop - s->begin, PIECE - s->begin % PIECE);
  lsp_failure *why = &s->ctx->why;
  lsp_beat();
  if (lsp_stop_asked())
    return lsp_fail(
        why, LSP_E_STOPPED,
        "stopped on request while the text was being cut into tokens, before "
        "any work; the same command begins again");
  LSP_TRY(lsp_corpus_bytes(s->text, s->at.document, s->begin, n, s->piece, why));
  LSP_TRY(lsp_encoder_put(s->encoder, s->piece, (size_t)n, why));
  s->begin += n;
  if (s->begin < s->stop)
    return LSP_OK;
  LSP_TRY(lsp_encoder_end(s->encoder, 0, why));
  leave_unit(s);
  return LSP_OK;
}

/* Tokens of this rank's units, until there is no room for more or no unit. */
static lsp_status encode(spooler *s) {
  while (!is_done(s) && s->n < TOKENS) {
    if (s->inside) {
      LSP_TRY(encode_piece(s));
      continue;
    }
    LSP_TRY(enter_unit(s));
    if (!s->inside)
      leave_unit(s);
  }
  return LSP_OK;
}

/* --- writing --------------------------------------------------------------------- */

static lsp_status open_target(target *t, lsp_failure *why) {
  if (t->path == NULL)
    return LSP_OK;
  t->fd = open(t->path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  if (t->fd >= 0)
    return LSP_OK;
  return lsp_fail(why, LSP_E_IO,
                  "%s: cannot be opened here: %s; the output must lie where every host "
                  "sees it",
                  t->path, strerror(errno));
}

/* The first failure is kept until the ranks agree. */
static void write_bytes(void *arg, const void *data, int64_t n, int64_t offset) {
  target *t = arg;
  if (t->status == LSP_OK)
    t->status = lsp_write_at(t->fd, t->path, data, n, offset, t->why);
}

/* Tokens of this rank from `first` on, of those of the round. */
static void write_tokens(spooler *s, target *t, const void *data, int64_t first,
                         int64_t n, int64_t all) {
  const int64_t begin = s->spec->head + s->written * t->width;
  const lsp_byte_range round = {begin, begin + all * t->width};
  lsp_byte_range mine = {0, 0};
  if (t->path == NULL)
    return;
  if (n > 0)
    mine = (lsp_byte_range){begin + first * t->width, begin + (first + n) * t->width};
  lsp_route_rows(s->route, round, mine, data, write_bytes, t);
}

static void narrow(uint32_t *id, int64_t n) {
  unsigned char *to = (unsigned char *)id;
  for (int64_t i = 0; i < n; i++) {
    const uint16_t value = (uint16_t)id[i];
    memcpy(to + 2 * i, &value, sizeof value); /* never ahead of what is read */
  }
}

/* What is held is written by the ranks up to the first that has more to come. Returns 1
 * when all have done their units. */
static int flush(spooler *s) {
  MPI_Comm comm = s->ctx->comm;
  const int rank = s->ctx->rank;
  int unfinished = is_done(s) ? s->ctx->size : rank, first = 0;
  LSP_MPI(MPI_Allreduce(&unfinished, &first, 1, MPI_INT, MPI_MIN, comm));
  const int64_t n = rank <= first ? s->n : 0;
  int64_t before = 0, all = 0;
  LSP_MPI(MPI_Exscan(&n, &before, 1, MPI_INT64_T, MPI_SUM, comm));
  LSP_MPI(MPI_Allreduce(&n, &all, 1, MPI_INT64_T, MPI_SUM, comm));
  if (rank == 0)
    before = 0; /* what Exscan leaves undefined */
  if (s->ids.width == 2 && n > 0)
    narrow(s->id, n);
  write_tokens(s, &s->ids, s->id, before, n, all);
  write_tokens(s, &s->starts, s->start, before, n, all);
  s->written += all;
  if (rank <= first)
    s->n = 0;
  return first == s->ctx->size;
}

/* Tokens a document, to rank 0. */
static void gather_tallies(spooler *s) {
  const int ranks = s->ctx->size, bytes = s->tallies * (int)sizeof(tally);
  int64_t all = 0;
  LSP_MPI(MPI_Gather(&bytes, 1, MPI_INT, s->counts, 1, MPI_INT, 0, s->ctx->comm));
  int *const displacement = s->counts == NULL ? NULL : s->counts + ranks;
  for (int rank = 0; displacement != NULL && rank < ranks; rank++) {
    displacement[rank] = lsp_count(all);
    all += s->counts[rank];
  }
  LSP_MPI(MPI_Gatherv(s->tally, bytes, MPI_BYTE, s->gathered, s->counts, displacement,
                      MPI_BYTE, 0, s->ctx->comm));
  for (int64_t i = 0; i < all / (int64_t)sizeof(tally); i++)
    s->tokens[s->gathered[i].document] += s->gathered[i].tokens;
}

/* --- all of it ------------------------------------------------------------------- */

/* On a terminal twice a second, in a log every half minute. */
static void say_progress(spooler *s) {
  const int on_terminal = isatty(STDERR_FILENO);
  const double now = MPI_Wtime();
  if (s->ctx->rank != 0 || s->ctx->quiet || now - s->said < (on_terminal ? 0.5 : 30))
    return;
  s->said = now;
  (void)fprintf(stderr, "%scutting the text into tokens: %.1f %%%s",
                on_terminal ? "\r\033[K" : "",
                100.0 * (double)s->dealt / (double)s->all, on_terminal ? "" : "\n");
}

static void end_progress(const spooler *s, double begun) {
  if (s->ctx->rank == 0 && !s->ctx->quiet && s->said > begun && isatty(STDERR_FILENO))
    (void)fprintf(stderr, "\r\033[K");
}

static lsp_status written_so_far(const spooler *s) {
  return s->ids.status != LSP_OK ? s->ids.status : s->starts.status;
}

static lsp_status run_rounds(spooler *s) {
  place next = {0, 0};
  const double begun = s->said = MPI_Wtime();
  lsp_status status = LSP_OK;
  while (status == LSP_OK && next.document < lsp_corpus_count(s->text)) {
    deal(s, &next);
    int all_done = 0;
    while (status == LSP_OK && !all_done) {
      const lsp_status before = written_so_far(s);
      status = lsp_agree(s->ctx, before != LSP_OK ? before : encode(s));
      if (status == LSP_OK)
        all_done = flush(s);
      say_progress(s);
    }
    if (status == LSP_OK)
      gather_tallies(s);
  }
  end_progress(s, begun);
  return lsp_agree(s->ctx, status != LSP_OK ? status : written_so_far(s));
}

static lsp_status close_target(target *t, lsp_status status, lsp_failure *why) {
  if (t->fd >= 0 && status == LSP_OK)
    status = lsp_sync_file(t->fd, t->path, why);
  if (t->fd >= 0)
    (void)close(t->fd);
  t->fd = -1;
  return status;
}

static lsp_status open_buffers(spooler *s) {
  lsp_failure *why = &s->ctx->why;
  const int ranks = s->ctx->size, root = s->ctx->rank == 0;
  s->piece = malloc(PIECE);
  s->tally = calloc(DOCUMENTS + 1, sizeof *s->tally);
  if (root) {
    s->gathered = calloc((size_t)ranks, (DOCUMENTS + 1) * sizeof *s->gathered);
    s->counts = calloc(2 * (size_t)ranks, sizeof *s->counts);
    memset(s->tokens, 0, (size_t)lsp_corpus_count(s->text) * sizeof *s->tokens);
  }
  if (s->piece == NULL || s->tally == NULL ||
      (root && (s->gathered == NULL || s->counts == NULL)))
    return lsp_fail(why, LSP_E_MEMORY, "no memory to cut the text into tokens");
  LSP_TRY(grow(s, TOKENS, why));
  LSP_TRY(lsp_encoder_open(s->spec->tokenizer, s->spec->special, keep_tokens, s,
                           &s->encoder, why));
  LSP_TRY(open_target(&s->ids, why));
  return open_target(&s->starts, why);
}

static void close_buffers(spooler *s) {
  lsp_encoder_close(&s->encoder);
  lsp_route_close(&s->route);
  free(s->piece);
  free(s->id);
  free(s->start);
  free(s->tally);
  free(s->gathered);
  free(s->counts);
}

lsp_status lsp_spool_text(lsp_ctx *ctx, lsp_corpus *text, const lsp_spool_spec *spec,
                          int64_t *tokens) {
  lsp_failure *why = &ctx->why;
  spooler s = {.ctx = ctx,
               .text = text,
               .spec = spec,
               .unit = spec->unit > 0 ? spec->unit : UNIT,
               .ids = {spec->ids, -1, spec->width, LSP_OK, why},
               .starts = {spec->starts, -1, sizeof(int64_t), LSP_OK, why},
               .tokens = tokens};
  LSP_ASSERT(spec->width == 2 || spec->width == 4);
  for (int64_t d = 0; d < lsp_corpus_count(text); d++)
    s.all += bytes_of(&s, d);
  lsp_beat_phase("cutting the text into tokens", -1);
  lsp_status status = lsp_agree(ctx, lsp_route_open(ctx, &s.route));
  if (status == LSP_OK)
    status = lsp_agree(ctx, open_buffers(&s));
  if (status == LSP_OK)
    status = run_rounds(&s);
  const lsp_status ids = close_target(&s.ids, status, why);
  const lsp_status starts = close_target(&s.starts, ids, why);
  close_buffers(&s);
  return status != LSP_OK ? status : lsp_agree(ctx, starts);
}
