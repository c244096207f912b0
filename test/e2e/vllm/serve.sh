#!/bin/bash
# serve.sh DIR PORT [vLLM flags]: a real engine on 127.0.0.1:PORT, serving the model as "tiny" and "tiny-alias".
set -euo pipefail
dir=$1 port=$2
shift 2
export PYTHONHASHSEED=0 OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES= HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
export VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind
# The first request for logprobs would wait for a compiler.
export TORCHDYNAMO_DISABLE=1
exec "$dir/venv/bin/vllm" serve "$dir/model" --served-model-name tiny tiny-alias --host 127.0.0.1 --port "$port" \
  --enforce-eager --dtype bfloat16 --max-model-len 1024 --block-size 32 --num-gpu-blocks-override 128 --max-num-seqs 4 \
  --enable-prefix-caching --prefix-caching-hash-algo sha256_cbor --enable-prompt-tokens-details "$@"
