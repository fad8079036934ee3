/* What `longspan info` prints, by kind of path. Internal to cli. */
#ifndef LSP_CLI_INFO_H
#define LSP_CLI_INFO_H

#include "lsp/layout.h"
#include "lsp/model.h"
#include "lsp/status.h"

/* Local. A folder with config.json and safetensors. picture: a file to draw in what its
 * layers see, or NULL. */
lsp_status lsp_info_model(const char *dir, const char *picture, lsp_failure *why);

/* Local. Draws what the layers of a model see, as SVG: the bytes depend on the model
 * alone. Without a model (NULL), an example of each kind of branch. A file of that name is
 * replaced. */
lsp_status lsp_info_picture(const lsp_model *model, const char *path, lsp_failure *why);

/* Local. A finished output or memory file. replaced: a run is under way that will take
 * its place (--overwrite). */
lsp_status lsp_info_file(const char *path, int replaced, lsp_failure *why);

/* Local. An output that is under way: FILE.h5, by its journal and FILE.h5.part.
 * replaces: there is a complete one that it will replace. */
lsp_status lsp_info_unfinished(const char *path, int replaces, lsp_failure *why);

/* Local. A memory file. */
void lsp_info_memory(const lsp_file_view *view, const char *path);

/* Local. What a file says of the run that made it, but for what is printed elsewhere. */
void lsp_info_attributes(const lsp_attribute *attribute, int n);

/* Local. What an output holds, in words. */
void lsp_info_contents(const lsp_file_view *view);

#endif
