/** What goes over the wire in this benchmark: one place, so that every part sends and expects the same. */

export const model = 'Qwen/Qwen3-8B';
export const chatPath = '/v1/chat/completions';

const bodyBytes = 4096;
const answerBytes = 1024;
const eventBytes = 150;
/** Prompts that share a system prompt and differ behind it, as the users of one application do. */
const prompts = 512;
const systemBytes = 1500;

const words = 'the engine that will answer soonest has the prompt in its cache and few requests before it '.repeat(100);

function chatBody(index: number, stream: boolean): string {
  const user = `question ${index}: `;
  const body = (fill: number): string =>
    JSON.stringify({
      model,
      messages: [
        { role: 'system', content: words.slice(0, systemBytes) },
        { role: 'user', content: user + words.slice(index % 500, (index % 500) + fill) },
      ],
      max_tokens: 256,
      temperature: 0.7,
      stream,
    });
  return body(bodyBytes - body(0).length);
}

function request(body: string): string {
  const lines = [
    `POST ${chatPath} HTTP/1.1`,
    'host: inference.example:8000',
    'user-agent: OpenAI/Python 2.8.0',
    'accept: application/json',
    'content-type: application/json',
    'authorization: Bearer sk-0123456789abcdef0123456789abcdef',
    `content-length: ${body.length}`,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** Whole requests, ready to be written. */
export const chatRequests: readonly Buffer[] = Array.from({ length: prompts }, (_, i) =>
  Buffer.from(request(chatBody(i, false))),
);
export const streamRequests: readonly Buffer[] = Array.from({ length: prompts }, (_, i) =>
  Buffer.from(request(chatBody(i, true))),
);

function filled(text: (fill: string) => string, bytes: number): string {
  return text(words.slice(0, bytes - text('').length));
}

/** 1 KB of JSON, with the usage at its end as engines have it. */
export const answerBody = filled(
  (content) =>
    JSON.stringify({
      id: 'chatcmpl-0123456789abcdef',
      object: 'chat.completion',
      created: 1_790_000_000,
      model,
      choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 900, completion_tokens: 160, total_tokens: 1060 },
    }),
  answerBytes,
);

/** One server-sent event of 150 bytes. */
export const streamEvent = filled(
  (content) => `data: ${JSON.stringify({ id: 'chatcmpl-0123456789abcdef', model, delta: { content } })}\n\n`,
  eventBytes,
);

export const modelsBody = JSON.stringify({ object: 'list', data: [{ id: model, object: 'model' }] });

export const metricsBody = [
  '# TYPE vllm:num_requests_running gauge',
  `vllm:num_requests_running{model_name="${model}"} 8.0`,
  '# TYPE vllm:num_requests_waiting gauge',
  `vllm:num_requests_waiting{model_name="${model}"} 0.0`,
  '# TYPE vllm:kv_cache_usage_perc gauge',
  `vllm:kv_cache_usage_perc{model_name="${model}"} 0.31`,
  '# TYPE vllm:cache_config_info gauge',
  'vllm:cache_config_info{block_size="16",num_gpu_blocks="32768"} 1.0',
  '',
].join('\n');
