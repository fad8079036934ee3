/* What a run makes before its first wave, and what is tidied up after its last.
 *
 * Creation, on rank 0: FILE.h5.part.tmp is made and locked; what a run that never came
 * to its journal left is removed; memory file, slot and output are installed; last of
 * all the journal. Until the journal is there, nothing of it counts, and a crash leaves
 * only files that the next run replaces. The lock goes with the file when it is renamed
 * to FILE.h5.part, so two runs cannot create at once.
 *
 * What must hold: FILE.h5 and FILE.memory.h5 themselves are not touched here. */
#include "lsp/store.h"

#include "store_internal.h"

#include <stdlib.h>
#include <unistd.h>

lsp_status lsp__store_install_slot(lsp__opening *o) {
  return lsp_skeleton_install(&o->slot, o->names.slot.at, o->why);
}

static lsp_status install(lsp__opening *o, lsp_replacement *output) {
  if (o->memory.fd >= 0)
    LSP_TRY(lsp_skeleton_install(&o->memory, o->names.memory_part.at, o->why));
  if (o->slot.fd >= 0)
    LSP_TRY(lsp__store_install_slot(o));
  LSP_TRY(lsp_skeleton_copy(&o->output, output->fd, output->temporary, o->why));
  return lsp_replacement_commit(output, o->why);
}

static lsp_status create_journal(lsp__opening *o) {
  LSP_TRY(lsp__store_record_replaced(o));
  char *text = json_dumps(o->identity, JSON_COMPACT);
  if (text == NULL)
    return lsp_fail(o->why, LSP_E_MEMORY, "%s: not enough memory for its journal",
                    o->names.output.at);
  const lsp_status status =
      lsp_journal_create(o->names.journal.at, text, &o->journal, o->why);
  free(text);
  if (o->lock >= 0) /* the journal that was replaced */
    (void)close(o->lock);
  o->lock = -1;
  LSP_TRY(status);
  return lsp__store_lock(o, o->names.journal.at, &o->lock);
}

static lsp_status remove_journal(lsp__opening *o) {
  LSP_TRY(lsp__store_remove(o->names.journal.at, o->why));
  return lsp_sync_folder_of(o->names.journal.at, o->why);
}

/* A creation failed: what it made holds disk space. The journal goes first, for good.
 */
static void take_back(const lsp__names *names) {
  if (lsp__store_remove(names->journal.at, NULL) == LSP_OK &&
      lsp_sync_folder_of(names->journal.at, NULL) == LSP_OK)
    (void)lsp__store_remove_strays(names, NULL);
}

static lsp_status create_locked(lsp__opening *o, lsp_replacement *output) {
  int there = 0;
  LSP_TRY(lsp__store_nobody_holds(o, o->names.output_part.at));
  LSP_TRY(lsp__store_look(o->names.journal.at, &there, NULL, o->why));
  if (there && o->lock < 0)
    return lsp_fail(o->why, LSP_E_MISMATCH,
                    "%s: another run has just begun to write this output; wait for its "
                    "end, or name another output",
                    o->names.output.at);
  if (there)
    LSP_TRY(remove_journal(o));
  LSP_TRY(lsp__store_remove_strays(&o->names, o->why));
  lsp_status status = install(o, output);
  if (status == LSP_OK)
    status = create_journal(o);
  if (status != LSP_OK && o->journal == NULL)
    take_back(&o->names);
  return status;
}

lsp_status lsp__store_create(lsp__opening *o) {
  lsp_replacement output; /* its lock is held until the journal has one */
  LSP_TRY(lsp__store_begin(o, &output));
  const lsp_status status = create_locked(o, &output);
  lsp_replacement_end(&output);
  return status;
}

/* Somebody who creates at this moment holds FILE.h5.part.tmp, or FILE.h5.part. */
static lsp_status clean(lsp__opening *o) {
  const lsp__path tmp = lsp__store_tmp(&o->names.output_part);
  if (lsp__store_check_strays(&o->names, NULL) != LSP_OK ||
      lsp__store_nobody_holds(o, tmp.at) != LSP_OK ||
      lsp__store_nobody_holds(o, o->names.output_part.at) != LSP_OK)
    return LSP_OK;
  LSP_TRY(lsp__store_remove(tmp.at, o->why));
  return lsp__store_remove_strays(&o->names, o->why);
}

lsp_status lsp__store_tidy(lsp__opening *o) {
  if (o->lock < 0)
    return clean(o);
  LSP_TRY(remove_journal(o));
  return lsp__store_remove_rest(&o->names, o->why);
}
