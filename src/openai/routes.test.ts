import { describe, expect, it } from 'vitest';
import { methodOf, routeOf } from './routes.ts';

const legacy = '/rest/hermes-router/v1beta1';

describe('routeOf', () => {
  const served: [string, string, string][] = [
    ['/v1/chat/completions', '/v1/chat/completions', 'POST'],
    ['/v1/completions', '/v1/completions', 'POST'],
    ['/v1/embeddings', '/v1/embeddings', 'POST'],
    ['/v1/responses', '/v1/responses', 'POST'],
    ['/v1/chat/completons', '/v1/chat/completions', 'POST'],
    ['/v1/completons', '/v1/completions', 'POST'],
    [`${legacy}/v1/chat/completions`, '/v1/chat/completions', 'POST'],
    [`${legacy}/v1/chat/completons`, '/v1/chat/completions', 'POST'],
    [`${legacy}/v1/embeddings`, '/v1/embeddings', 'POST'],
    [`${legacy}/v1/responses`, '/v1/responses', 'POST'],
  ];
  it.each(served)('takes %s to the engines as %s by %s', (path, upstream, method) => {
    const route = routeOf(path);
    expect(route).toEqual({ kind: 'inference', path: upstream });
    expect(route !== null && methodOf(route)).toBe(method);
  });

  it.each(['/v1/models', `${legacy}/v1/models`])('lists the models at %s', (path) => {
    const route = routeOf(path);
    expect(route).toEqual({ kind: 'models' });
    expect(route !== null && methodOf(route)).toBe('GET');
  });

  const models: [string, string][] = [
    ['/v1/models/m', 'm'],
    ['/v1/models/Qwen/Qwen3-8B', 'Qwen/Qwen3-8B'],
    ['/v1/models/Qwen%2FQwen3-8B', 'Qwen/Qwen3-8B'],
    ['/v1/models/m%C3%B6del', 'mödel'],
    [`${legacy}/v1/models/a/b`, 'a/b'],
  ];
  it.each(models)('finds at %s the model %s', (path, id) => {
    const route = routeOf(path);
    expect(route).toEqual({ kind: 'model', id });
    expect(route !== null && methodOf(route)).toBe('GET');
  });

  it.each([
    '/', '', '/v1', '/v1/', '/v1/chat', '/v1/chat/completions/', '/v1/chat/completions/x', '//v1/chat/completions',
    '/V1/chat/completions', '/v1/chat/../chat/completions', '/v1/chat%2Fcompletions', '/v1/models/', '/v1/models/%zz',
    '/v1/load_lora_adapter', '/v1/audio/transcriptions', '/metrics', '/health', '/sleep', '/tokenize', '/invocations',
    `${legacy}`, `${legacy}/chat/completions`, `${legacy}${legacy}/v1/models`, 'http://host/v1/models', '*',
  ])('serves nothing at %s', (path) => {
    expect(routeOf(path)).toBeNull();
  }); // prettier-ignore
});
