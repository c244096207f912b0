import { errorAnswer, hitRateAnswer, hitRateQuestion, matchSortAnswer, matchSortQuestions } from './schema.ts';

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: unknown) => ({ 'application/json': { schema } });
const answer = (description: string, schema: unknown) => ({ description, content: json(schema) });
const error = (description: string) => answer(description, ref('Error'));

const refusals = {
  '400': error(
    '`invalid_json`, `missing_model`, or `invalid_value` with `param`: a field is wrong, or `block_size` is used by ' +
      'no engine of the model.',
  ),
  '401': error('`invalid_api_key`: the server wants a bearer token.'),
  '404': error('`model_not_found`: no pod serves the model.'),
  '405': error('`method_not_allowed`: the path takes POST.'),
  '413': error('`request_too_large`: the body is larger than 4 MiB.'),
  '415': error('`unsupported_media_type`: the content type is not JSON.'),
};

const text = (description: string) => ({ description, content: { 'text/plain': { schema: { type: 'string' } } } });

/** The OpenAPI description of cache-indexer's server. */
export function openApiDocument(version: string): unknown {
  const byAnyForm = { oneOf: Object.keys(matchSortQuestions).map(ref) };
  return {
    openapi: '3.1.0',
    info: {
      title: 'hermes-router cache-indexer',
      version,
      description: 'Which engine has which share of a prompt in its KV cache, by the events of the engines themselves.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://cache-indexer-service:8080' }],
    security: [{}, { token: [] }],
    paths: {
      '/match_sort': {
        post: {
          operationId: 'matchSort',
          summary: 'Pods by how much of a prompt they have',
          requestBody: { required: true, content: json(byAnyForm) },
          responses: {
            '200': answer('Every pod that serves the model, or every candidate of them.', ref('MatchSortAnswer')),
            ...refusals,
            '503': error(
              '`tokenizer_unavailable`: no engine has tokenised the text; `overloaded`: too many bodies at a time. Both ' +
                'come with Retry-After.',
            ),
          },
        },
      },
      '/kv-cache/hit-rate': {
        post: {
          operationId: 'hitRate',
          summary: 'Shares of a prompt by cache level',
          requestBody: { required: true, content: json(ref('HitRateQuestion')) },
          responses: {
            '200': answer('Every pod that serves the model, or every candidate of them.', ref('HitRateAnswer')),
            ...refusals,
            '503': error('`overloaded`: too many bodies at a time. Comes with Retry-After.'),
          },
        },
      },
      '/healthz': {
        get: { operationId: 'healthz', summary: 'The process lives', security: [{}], responses: { '200': text('ok') } },
      },
      '/readyz': {
        get: {
          operationId: 'readyz',
          summary: 'Whether every pod is followed or given up',
          security: [{}],
          responses: {
            '200': text('ok, and a line for each pod whose events are not followed, with the reason.'),
            '503': text('What is being waited for.'),
          },
        },
      },
      '/metrics': {
        get: {
          operationId: 'metrics',
          summary: 'Metrics for Prometheus',
          security: [{}],
          responses: { '200': text('Text exposition.') },
        },
      },
    },
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'Of `--token-file`, where it is given.' },
      },
      schemas: {
        ...matchSortQuestions,
        HitRateQuestion: hitRateQuestion,
        MatchSortAnswer: matchSortAnswer,
        HitRateAnswer: hitRateAnswer,
        Error: errorAnswer,
      },
    },
  };
}
