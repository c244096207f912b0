// The commands of the two guides that came before: "AI Inference Hermes Routing" of openFuyao v25.09 and
// "AI推理赫尔墨斯路由" of v25.12, in their order and as they have them. Placeholders are the guides' own.

/** Where a command is typed: the folder that the checkouts are in, a checkout, or where a package was unpacked. */
export type Folder = 'above' | 'checkout' | 'unpacked';

export interface GuideCommand {
  readonly guide: 'v25.09' | 'v25.12';
  readonly text: string;
  readonly folder: Folder;
  /** What is typed here where it cannot work as it stands; docs/guides/install.md lists it. */
  readonly instead?: string;
  /** Why nothing is typed here. */
  readonly without?: string;
  /** Removes what would be in the way of the next command. */
  readonly after?: string;
  /** Part of what it prints. */
  readonly says?: string;
}

const profile = (file: string): GuideCommand => ({
  guide: 'v25.12',
  folder: 'above',
  text: `cd hermes-router/charts/hermes-router
helm dependency build
helm install -n <NAMESPACE> hermes-router . \\
  -f ${file}`,
  instead: `cd hermes-router/charts/hermes-router
helm dependency build
helm install -n <NAMESPACE> hermes-router . \\
  -f ../../examples/profiles/${file}`,
  after: 'helm uninstall -n <NAMESPACE> hermes-router',
  says: 'helm test hermes-router',
});

const request = (text: string): string => `curl -X POST http://${text}/v1/chat/completions \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "Qwen/Qwen3-8B",
    "messages": [
      {"role": "user", "content": "你好"}
    ],
    "max_tokens": 100,
    "temperature": 0.7,
    "stream": false
  }'`;

export const guideCommands: readonly GuideCommand[] = [
  {
    guide: 'v25.09',
    folder: 'unpacked',
    text: 'helm pull oci://helm.openfuyao.cn/charts/hermes-router --version xxx',
    instead: 'helm package ../hermes-router/charts/hermes-router',
  },
  {
    guide: 'v25.09',
    folder: 'unpacked',
    text: 'tar -zxvf hermes-router',
    instead: 'tar -zxvf hermes-router-0.1.0.tgz',
  },
  {
    guide: 'v25.09',
    folder: 'unpacked',
    text: 'helm install --generate-name ./hermes-router',
    says: 'kubectl get hermes',
    after: 'helm uninstall $(helm list -q)',
  },
  {
    guide: 'v25.09',
    folder: 'above',
    text: 'git clone https://gitcode.com/openFuyao/hermes-router.git',
    without: 'the folder hermes-router is a checkout of this project',
  },
  {
    guide: 'v25.09',
    folder: 'above',
    text: 'helm install --generate hermes-router/charts/hermes-router',
    instead: 'helm install --generate-name hermes-router/charts/hermes-router',
    after: 'helm uninstall $(helm list -q)',
  },
  {
    guide: 'v25.09',
    folder: 'above',
    text: `curl http://localhost:8000/rest/hermes-router/v1beta1/v1/chat/completons \\
-H "Content-Type: application/json" \\
-d '{
"model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
"messages": [{"role": "user", "content": "*Introduce the openFuyao open-source community.*"}],
"stream": true
}'`,
    says: 'data: [DONE]',
  },
  {
    guide: 'v25.12',
    folder: 'above',
    text: 'git clone https://gitcode.com/openFuyao/hermes-router.git',
    without: 'the folder hermes-router is a checkout of this project',
  },
  profile('epp-random-pd-bucket.yaml'),
  profile('epp-pd-kv-cache-aware.yaml'),
  profile('epp-kv-cache-aware.yaml'),
  { ...profile('epp-pd-bucket.yaml'), after: '' },
  {
    guide: 'v25.12',
    folder: 'above',
    text: 'kubectl get pods -n <NAMESPACE> -l inferencepool=<INFERENCEPOOL_NAME>-epp',
    says: 'vllm-qwen-qwen3-8b-epp-',
  },
  {
    guide: 'v25.12',
    folder: 'above',
    text: 'kubectl get pods -n <NAMESPACE> -l app=vllm-qwen-qwen3-8b-epp',
    says: 'vllm-qwen-qwen3-8b-epp-',
  },
  { guide: 'v25.12', folder: 'above', text: 'kubectl get inferencepool -n <NAMESPACE>', says: 'vllm-qwen-qwen3-8b' },
  {
    guide: 'v25.12',
    folder: 'above',
    text: 'kubectl get httproute -n <NAMESPACE>',
    says: 'vllm-qwen-qwen3-8b',
    after: 'helm uninstall -n <NAMESPACE> hermes-router',
  },
  {
    guide: 'v25.12',
    folder: 'unpacked',
    text: 'helm pull oci://cr.openfuyao.cn/charts/infernex --version xxx',
    instead: `helm dependency build ../InferNex/charts/infernex
helm package ../InferNex/charts/infernex`,
  },
  {
    guide: 'v25.12',
    folder: 'unpacked',
    text: 'tar -xzvf infernex-xxx.tgz',
    instead: 'tar -xzvf infernex-0.1.0.tgz',
  },
  {
    guide: 'v25.12',
    folder: 'unpacked',
    text: 'helm install -n istio-system infernex ./infernex',
    says: 'InferNex is installed',
    after: 'helm uninstall -n istio-system infernex',
  },
  {
    guide: 'v25.12',
    folder: 'above',
    text: 'git clone https://gitcode.com/openFuyao/InferNex.git',
    without: 'a checkout of this project has charts/infernex, too',
  },
  {
    guide: 'v25.12',
    folder: 'above',
    text: `cd InferNex/charts/infernex
helm dependency build
helm install -n istio-system infernex .`,
    says: 'the rest in ai-inference',
    after: 'helm uninstall -n istio-system infernex',
  },
  {
    guide: 'v25.12',
    folder: 'above',
    text: `istioctl install -y \\
  --set tag=<ISTIO_TAG> \\
  --set hub=gcr.io/istio-testing \\
  --set values.pilot.env.ENABLE_GATEWAY_API_INFERENCE_EXTENSION=true`,
    without: "Istio's own",
  },
  { guide: 'v25.12', folder: 'above', text: 'kubectl get pods -n istio-system' },
  {
    guide: 'v25.12',
    folder: 'checkout',
    text: `helm upgrade --install inference-gateway examples/1_pd_bucket/charts/gateway \\
  -n <NAMESPACE> --create-namespace \\
  --set gateway.className=istio`,
    says: 'kubectl get gateway inference-gateway',
  },
  {
    guide: 'v25.12',
    folder: 'checkout',
    text: `helm upgrade --install vllm examples/2_kv_aware/charts/vllm \\
  -n \${NAMESPACE} --create-namespace \\
  --set modelServer.name=$(MODEL) \\
  --set modelServer.rootCachePath=/home/llm_cache`,
    says: 'openfuyao.com/model=qwen-qwen3-8b',
  },
  {
    guide: 'v25.12',
    folder: 'checkout',
    text: `helm upgrade --install vllm-pd examples/1_pd_bucket/charts/vllm-pd \\
    -n \${NAMESPACE} --create-namespace \\
    --set modelServer.name=$(MODEL) \\
    --set modelServer.rootCachePath=/home/llm_cache`,
    says: 'openfuyao.com/model=qwen-qwen3-8b',
  },
  {
    guide: 'v25.12',
    folder: 'unpacked',
    text: 'helm fetch oci://cr.openfuyao.cn/charts/cache-indexer --version 0.20.0',
    instead: 'helm package ../hermes-router/charts/cache-indexer',
  },
  {
    guide: 'v25.12',
    folder: 'checkout',
    text: `helm upgrade --install cache-indexer ./charts/cache-indexer \\
    -n \${NAMESPACE} --create-namespace`,
    says: 'http://cache-indexer-service:8080/match_sort',
  },
  {
    guide: 'v25.12',
    folder: 'above',
    text: `EXTERNAL_IP=$(kubectl get svc -n istio-system istio-ingressgateway -o jsonpath='{.status.loadBalancer.ingress[0].ip}')`,
    instead: `EXTERNAL_IP=$(kubectl get gateway -n <NAMESPACE> inference-gateway -o jsonpath='{.status.addresses[0].value}')`,
  },
  { guide: 'v25.12', folder: 'above', text: request('${EXTERNAL_IP}'), says: '"object":"chat.completion"' },
  {
    guide: 'v25.12',
    folder: 'above',
    text: 'kubectl get svc -n istio-system istio-ingressgateway',
    instead: 'kubectl get gateway -n <NAMESPACE> inference-gateway',
    says: 'inference-gateway',
  },
  {
    guide: 'v25.12',
    folder: 'above',
    text: `NODE_IP=$(kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}')`,
  },
  {
    guide: 'v25.12',
    folder: 'above',
    text: `NODE_PORT=$(kubectl get svc -n istio-system istio-ingressgateway -o jsonpath='{.spec.ports[?(@.port==80)].nodePort}')`,
    without: 'the Service of the Gateway is made by its controller',
  },
  { guide: 'v25.12', folder: 'above', text: request('${NODE_IP}:${NODE_PORT}'), says: '"object":"chat.completion"' },
];
