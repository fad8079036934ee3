/* A run from its options to finished files. */
#ifndef LSP_ENGINE_H
#define LSP_ENGINE_H

#include "lsp/ctx.h"
#include "lsp/options.h"

/* Collective. LSP_OK: done (or done before, with resume); LSP_E_STOPPED: stopped on
 * request with everything committed. On failure the message is in ctx->why on every
 * rank. */
lsp_status lsp_engine_run(lsp_ctx *ctx, const lsp_options *options);

#endif
