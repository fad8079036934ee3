/* The splitting rules: a pre_tokenizer as a list of steps, each of which splits the pieces
 * of the one before. The last part has to be ByteLevel, which makes bytes of text. */
#include "tokenizer_internal.h"

#include <stdio.h>
#include <string.h>

static const char pattern_gpt2[] =
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* The patterns whose pieces are known not to go on in certain places. */
static const struct {
  const char *text;
  lsp__pattern pattern;
} known[] = {
    {pattern_gpt2, LSP__PATTERN_GPT2},
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| "
     "?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     LSP__PATTERN_GPT2},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
     " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     LSP__PATTERN_LLAMA3},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
     " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     LSP__PATTERN_LLAMA3},
};

static lsp_status add_rule(lsp_tokenizer *t, const lsp__spot *s, const json_t *part,
                           lsp__rule_kind kind, lsp__rule **out, lsp_failure *why) {
  if (t->byte_level)
    return lsp__spot_odd(s, part, "nothing behind ByteLevel", why);
  if (t->rules == LSP__RULES_MOST)
    return lsp__spot_odd(s, part, "at most 8 splitting rules", why);
  *out = &t->rule[t->rules++];
  (*out)->kind = kind;
  return LSP_OK;
}

static lsp_status add_pattern(lsp_tokenizer *t, const lsp__spot *s, const json_t *part,
                              const char *pattern, lsp_failure *why) {
  lsp__rule *rule = NULL;
  LSP_TRY(add_rule(t, s, part, LSP__RULE_REGEX, &rule, why));
  LSP_ASSERT(rule != NULL);
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strcmp(pattern, known[i].text) == 0)
      rule->pattern = known[i].pattern;
  return lsp__regex_compile(s, pattern, rule, why);
}

static lsp_status read_byte_level(lsp_tokenizer *t, const lsp__spot *s,
                                  const json_t *part, lsp_failure *why) {
  int prefix = 1;
  int regex = 1;
  int trim = 0;
  lsp__rule *rule = NULL;
  LSP_TRY(lsp__spot_keys(s, part, "type add_prefix_space trim_offsets use_regex", why));
  LSP_TRY(lsp__spot_bool(s, part, "add_prefix_space", &prefix, why));
  LSP_TRY(lsp__spot_bool(s, part, "use_regex", &regex, why));
  LSP_TRY(lsp__spot_bool(s, part, "trim_offsets", &trim, why));
  if (prefix)
    LSP_TRY(add_rule(t, s, part, LSP__RULE_PREFIX, &rule, why));
  if (regex)
    LSP_TRY(add_pattern(t, s, part, pattern_gpt2, why));
  if (t->byte_level)
    return lsp__spot_odd(s, part, "ByteLevel once", why);
  t->byte_level = 1;
  return LSP_OK;
}

static lsp_status read_digits(lsp_tokenizer *t, const lsp__spot *s, const json_t *part,
                              lsp_failure *why) {
  int single = 0;
  lsp__rule *rule = NULL;
  LSP_TRY(lsp__spot_keys(s, part, "type individual_digits", why));
  LSP_TRY(lsp__spot_bool(s, part, "individual_digits", &single, why));
  return add_rule(t, s, part, single ? LSP__RULE_DIGIT : LSP__RULE_DIGITS, &rule, why);
}

/* A text as a pattern that matches nothing else. */
static lsp_status quote_text(const lsp__spot *s, const json_t *text,
                             char out[LSP__PATTERN_SIZE], lsp_failure *why) {
  size_t n = 0;
  const char *c = json_string_value(text);
  for (; *c != '\0' && n + 3 < LSP__PATTERN_SIZE; c++) {
    if (strchr("\\^$.|?*+()[]{}&-#~/'\"<>=!:", *c) != NULL)
      out[n++] = '\\';
    out[n++] = *c;
  }
  out[n] = '\0';
  return *c == '\0' ? LSP_OK : lsp__spot_odd(s, text, "a shorter text", why);
}

static lsp_status read_split(lsp_tokenizer *t, const lsp__spot *s, const json_t *part,
                             lsp_failure *why) {
  int invert = 0;
  char quoted[LSP__PATTERN_SIZE];
  LSP_TRY(lsp__spot_keys(s, part, "type pattern behavior invert", why));
  LSP_TRY(lsp__spot_bool(s, part, "invert", &invert, why));
  const lsp__spot at_invert = lsp__spot_key(s, "invert");
  if (invert)
    return lsp__spot_odd(&at_invert, json_object_get(part, "invert"), "false", why);
  const json_t *behavior = json_object_get(part, "behavior");
  const lsp__spot at_behavior = lsp__spot_key(s, "behavior");
  if (!json_is_string(behavior) || strcmp(json_string_value(behavior), "Isolated") != 0)
    return lsp__spot_odd(&at_behavior, behavior, "\"Isolated\"", why);
  const json_t *pattern = json_object_get(part, "pattern");
  const lsp__spot at_pattern = lsp__spot_key(s, "pattern");
  LSP_TRY(lsp__spot_keys(&at_pattern, pattern, "Regex String", why));
  const json_t *regex = json_object_get(pattern, "Regex");
  const json_t *text = json_object_get(pattern, "String");
  const json_t *given = regex != NULL ? regex : text;
  if ((regex == NULL) == (text == NULL) || !json_is_string(given) ||
      json_string_length(given) == 0)
    return lsp__spot_odd(&at_pattern, pattern, "either a Regex or a String", why);
  if (text != NULL)
    LSP_TRY(quote_text(&at_pattern, text, quoted, why));
  return add_pattern(t, &at_pattern, part,
                     text != NULL ? quoted : json_string_value(regex), why);
}

static lsp_status read_rule(lsp_tokenizer *t, const lsp__spot *s, const json_t *part,
                            const char *type, lsp_failure *why) {
  if (strcmp(type, "ByteLevel") == 0)
    return read_byte_level(t, s, part, why);
  if (strcmp(type, "Digits") == 0)
    return read_digits(t, s, part, why);
  if (strcmp(type, "Split") == 0)
    return read_split(t, s, part, why);
  return lsp__spot_odd(s, part, "ByteLevel, Split, Digits or a Sequence", why);
}

lsp_status lsp__rules_read(lsp_tokenizer *t, const lsp__spot *root, const json_t *part,
                           lsp_failure *why) {
  const lsp__spot s = lsp__spot_key(root, "pre_tokenizer");
  LSP_TRY(lsp__read_parts(t, &s, part, "pretokenizers", read_rule, why));
  if (!t->byte_level)
    return lsp__spot_odd(&s, part, "ByteLevel as its last part (byte-level BPE)", why);
  return LSP_OK;
}
