#!/bin/sh
# Small tokenizer.json files, one for each part that the parser knows, each with a text
# behind a NUL: make_seeds.sh FOLDER
set -eu
folder=$1
mkdir -p "$folder"

vocab='"vocab":{"a":0,"b":1,"ab":2,"Ġ":3,"Ċ":4,"e":5,"Ġa":6,"1":7,"Ã":8,"©":9,"Ã©":10,".":11}'
merges='"merges":["a b",["Ġ","a"],"Ã ©"]'
model="\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,$vocab,$merges}"
level='{"type":"ByteLevel","add_prefix_space":true,"use_regex":true,"trim_offsets":true}'
plain='{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}'
llama='(?i:'\''s|'\''t|'\''re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'

n=0
seed() { # the parts beside the model
  n=$((n + 1))
  printf '{%s,%s}\000 ab ab\n\n1é <s> ab.\nab' "$model" "$1" >"$folder/seed$n"
}
sequence() {
  printf '"pre_tokenizer":{"type":"Sequence","pretokenizers":[%s]}' "$1"
}
split="{\"type\":\"Split\",\"pattern\":{\"Regex\":\"$llama\"},\"behavior\":\"Isolated\",\"invert\":false}"
string='{"type":"Split","pattern":{"String":"."},"behavior":"Isolated"}'
seed "\"pre_tokenizer\":$level,\"version\":\"1.0\",\"truncation\":null,\"padding\":null"
seed "$(sequence "$split,$plain")"
seed "$(sequence "{\"type\":\"Digits\",\"individual_digits\":true},$string,$level")"
for form in NFC NFD NFKC NFKD; do
  seed "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"$form\"}]},\"pre_tokenizer\":$level"
done
for switch in special lstrip rstrip single_word normalized; do
  seed "\"pre_tokenizer\":$level,\"added_tokens\":[{\"id\":12,\"content\":\"<s>\",\"$switch\":true}]"
done
seed "\"pre_tokenizer\":$plain,\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"S\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{\"S\":{\"id\":\"S\",\"ids\":[1],\"tokens\":[\"b\"]}}}"
