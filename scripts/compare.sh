#!/bin/sh
# Runs openelm and llama.cpp's llama-bench on the same model and the same adapter in turns, and prints the ratios.
#
#     make compare GGUF=model.gguf MODEL=folder [DTYPE=bf16] [PROMPT=64] [TOKENS=16] [ROUNDS=2]
#
# llama-bench must be built with Vulkan (cmake -DGGML_VULKAN=ON) for the same adapter to be compared. It passes over software
# adapters unless one is named; 0 is the first that Vulkan lists, set GGML_VK_VISIBLE_DEVICES to another.
set -eu
export GGML_VK_VISIBLE_DEVICES="${GGML_VK_VISIBLE_DEVICES:-0}"

: "${GGUF:=}" "${MODEL:=shape:270M}" "${DTYPE:=auto}" "${PROMPT:=64}" "${TOKENS:=16}" "${ROUNDS:=2}"
: "${LLAMA_BENCH:=llama-bench}" "${OPENELM:=target/release/openelm}"

if ! command -v "$LLAMA_BENCH" >/dev/null 2>&1; then
    echo "compare: llama-bench is not on PATH. It is part of llama.cpp (github.com/ggml-org/llama.cpp):" >&2
    echo "    cmake -B build -DGGML_VULKAN=ON && cmake --build build --config Release --target llama-bench" >&2
    echo "then put build/bin on PATH, or set LLAMA_BENCH to the program." >&2
    exit 1
fi
if [ ! -f "$GGUF" ]; then
    echo "compare: give the model as llama.cpp reads it: make compare GGUF=model.gguf MODEL=folder" >&2
    echo "    llama.cpp's convert_hf_to_gguf.py makes one from the folder: --outtype bf16 (or f16, q8_0)" >&2
    exit 1
fi

# Tokens a second for a prompt, or with a prompt of 0 for generation.
theirs() {
    "$LLAMA_BENCH" -m "$GGUF" -ngl 99 -p "$1" -n "$2" -r 1 -o json 2>/dev/null |
        sed -n 's/.*"avg_ts": *\([0-9.]*\).*/\1/p' | grep . || {
        echo "compare: llama-bench printed no result; try it by hand: $LLAMA_BENCH -m $GGUF -ngl 99" >&2
        exit 1
    }
}

ours() {
    "$OPENELM" bench -m "$MODEL" --dtype "$DTYPE" -p "$PROMPT" -n "$TOKENS" --depth 0 -r 1 --json |
        sed 's/.*"'"$1"'":{"max":[0-9.]*,"median":\([0-9.]*\).*/\1/'
}

best() { sort -g | tail -n 1; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
round=0
while [ "$round" -lt "$ROUNDS" ]; do
    ours prefill_tokens_per_s >>"$folder/ours.prefill"
    theirs "$PROMPT" 0 >>"$folder/theirs.prefill"
    ours decode_tokens_per_s >>"$folder/ours.decode"
    theirs 0 "$TOKENS" >>"$folder/theirs.decode"
    round=$((round + 1))
done
printf '%-8s %12s %12s %8s   (tokens/s, best of %s in turns)\n' "" openelm llama.cpp ratio "$ROUNDS"
for what in prefill decode; do
    a=$(best <"$folder/ours.$what")
    b=$(best <"$folder/theirs.$what")
    awk -v w="$what" -v a="$a" -v b="$b" 'BEGIN { printf "%-8s %12.2f %12.2f %7.1fx\n", w, a, b, a / b }'
done
