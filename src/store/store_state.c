/* What lies in the folder, and what follows from it. Rank 0 alone.
 *
 *   FILE.h5  journal    neither option   --resume              --overwrite
 *   no       no         new              new                   new
 *   yes      no         refused          finished or refused   new
 *   any      yes        refused          resumed or refused    new
 *
 * New beside a FILE.h5 or FILE.memory.h5: these stay until the finish replaces them.
 * What cannot have come from longspan is refused in any state (store_files.c).
 *
 * What must hold: this changes nothing. It only decides, and locks the journal. */
#include "lsp/store.h"

#include "store_internal.h"

/* What there is. */
typedef struct {
  int output, part, memory, journal;
} there;

static lsp_status look(lsp__opening *o, there *t) {
  const lsp__names *n = &o->names;
  LSP_TRY(lsp__store_look(n->output.at, &t->output, NULL, o->why));
  LSP_TRY(lsp__store_look(n->output_part.at, &t->part, NULL, o->why));
  LSP_TRY(lsp__store_look(n->memory.at, &t->memory, NULL, o->why));
  return lsp__store_look(n->journal.at, &t->journal, NULL, o->why);
}

/* FILE.h5 is there and whole: is it this run's? */
static lsp_status decide_finished(lsp__opening *o, const there *t) {
  LSP_TRY(lsp__store_is_ours(o, o->names.output.at));
  if (o->spec->memory.snapshots > 0 && !t->memory)
    return lsp_fail(o->why, LSP_E_MISMATCH,
                    "%s: --resume refused: the run is finished, but %s is missing; use "
                    "--overwrite to run again",
                    o->names.output.at, o->names.memory.at);
  o->facts->state = LSP_STORE_FINISHED;
  return LSP_OK;
}

static lsp_status decide_resume(lsp__opening *o, const there *t) {
  o->facts->state = LSP_STORE_RESUMED;
  if (t->part)
    return LSP_OK;
  if (t->output) /* the end of a finish was cut off */
    return decide_finished(o, t);
  return lsp_fail(
      o->why, LSP_E_MISMATCH,
      "%s: --resume refused: %s is there, but %s is missing; use --overwrite "
      "to begin anew",
      o->names.output.at, o->names.journal.at, o->names.output_part.at);
}

/* What --overwrite will replace must be of longspan. */
static lsp_status decide_overwrite(const lsp__opening *o) {
  LSP_TRY(lsp__store_check_replaced(o->names.output.at, "longspan-output", o->why));
  if (o->spec->memory.snapshots > 0)
    LSP_TRY(lsp__store_check_replaced(o->names.memory.at, "longspan-memory", o->why));
  return LSP_OK;
}

static lsp_status decide_new(const lsp__opening *o, const there *t) {
  const char *output = o->names.output.at;
  if (t->journal)
    return lsp_fail(o->why, LSP_E_MISMATCH,
                    "%s: a run is under way or was stopped (%s exists); use --resume "
                    "to resume it, or --overwrite to begin anew",
                    output, o->names.journal.at);
  if (t->output)
    return lsp_fail(
        o->why, LSP_E_MISMATCH,
        "%s exists; use --resume to resume it, or --overwrite to replace it", output);
  if (t->memory && o->spec->memory.snapshots > 0)
    return lsp_fail(
        o->why, LSP_E_MISMATCH,
        "%s exists, though %s does not; move it away, or use --overwrite to "
        "replace it",
        o->names.memory.at, output);
  return LSP_OK;
}

/* The journal locked, if it counts; then what is there, which the run that held the
 * lock may have changed. */
static lsp_status lock_and_look(lsp__opening *o, there *t) {
  LSP_TRY(look(o, t));
  if (!t->journal || !(o->spec->resume || o->spec->overwrite))
    return LSP_OK;
  LSP_TRY(lsp__store_check_strays(&o->names, o->why));
  const lsp_status status = lsp__store_lock(o, o->names.journal.at, &o->lock);
  return status == LSP_OK || status == LSP_E_INPUT ? look(o, t) : status;
}

lsp_status lsp__store_decide(lsp__opening *o) {
  there t = {0};
  LSP_TRY(lsp__store_check_alias(&o->names, o->why));
  LSP_TRY(lock_and_look(o, &t));
  o->facts->state = LSP_STORE_NEW;
  if (o->spec->resume && t.journal)
    return decide_resume(o, &t);
  if (o->spec->resume && t.output)
    return decide_finished(o, &t);
  LSP_TRY(o->spec->overwrite ? decide_overwrite(o) : decide_new(o, &t));
  return lsp__store_check_strays(&o->names, o->why);
}
