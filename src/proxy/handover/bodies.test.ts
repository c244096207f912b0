import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bodies } from './bodies.ts';

const bodies = (text: string, model: string | null = null): Bodies => new Bodies(Buffer.from(text), model);
const parsed = (bytes: Buffer): unknown => JSON.parse(bytes.toString());

const opening = {
  do_remote_decode: true,
  do_remote_prefill: false,
  remote_engine_id: null,
  remote_block_ids: null,
  remote_host: null,
  remote_port: null,
};
const oneToken = { stream: false, max_tokens: 1, max_completion_tokens: 1, min_tokens: 1, n: 1 };

describe('the body for the prefiller', () => {
  it('asks for one token in one piece and for the blocks to be kept', () => {
    expect(parsed(bodies('{"model":"m","prompt":"x"}').prefill([]))).toEqual({
      model: 'm',
      prompt: 'x',
      ...oneToken,
      kv_transfer_params: opening,
    });
  });

  it("overrides the client's own limits and leaves everything else as it is written", () => {
    const text =
      '{"model":"m", "stream" : true,"stream_options":{"include_usage":true},"max_tokens":100,"max_completion_tokens":7,' +
      '"min_tokens":5,"n":3,"seed":9223372036854775807,"temperature":1.0}';
    const body = bodies(text).prefill([]);
    expect(parsed(body)).toMatchObject({ ...oneToken, kv_transfer_params: opening });
    expect(body.toString()).not.toContain('stream_options');
    expect(body.toString()).toContain('"seed":9223372036854775807,"temperature":1.0}');
    expect(body.toString()).toContain('"stream" : false');
  });

  it('tells of requests whose blocks nobody will read', () => {
    expect(parsed(bodies('{}').prefill(['a', 'b-1']))).toMatchObject({
      kv_transfer_params: { ...opening, aborted_request: ['a', 'b-1'] },
    });
  });

  it('finds limits in escapes', () => {
    const body = bodies('{"max_tok\\u0065ns":100,"\\u0073tream":true}').prefill([]).toString();
    expect(body).toContain('"max_tok\\u0065ns":1,"\\u0073tream":false');
  });
});

describe('the body for the decoder', () => {
  const params = Buffer.from('{"remote_block_ids":[[1],[2]], "x":1.0}');

  it("is the client's with the prefiller's parameters as they came", () => {
    const text = ' {"model":"m","stream":true,"seed":9223372036854775807}\n';
    expect(bodies(text).decode(params).toString()).toBe(
      ' {"kv_transfer_params":{"remote_block_ids":[[1],[2]], "x":1.0},"model":"m","stream":true,"seed":9223372036854775807}\n',
    );
  });

  it("is the client's very bytes where the prefiller gave no parameters", () => {
    const bytes = Buffer.from('{"model":"m"}');
    expect(new Bodies(bytes, null).decode(null)).toBe(bytes);
  });

  it('names the model as its engines do, and so does the prefiller’s', () => {
    const both = bodies('{"model":"m","prompt":"x"}', 'other');
    expect(both.decode(null).toString()).toBe('{"model":"other","prompt":"x"}');
    expect(parsed(both.decode(params))).toMatchObject({ model: 'other', prompt: 'x', kv_transfer_params: { x: 1 } });
    expect(parsed(both.prefill([]))).toMatchObject({ model: 'other', prompt: 'x' });
  });

  it('changes nothing else of any body', () => {
    const key = fc.string().filter((name) => name !== 'kv_transfer_params' && name !== '__proto__');
    fc.assert(
      fc.property(fc.dictionary(key, fc.jsonValue()), fc.jsonValue(), (body, value) => {
        const text = JSON.stringify(body);
        const opaque = Buffer.from(JSON.stringify({ value }));
        const got = bodies(text).decode(opaque).toString();
        expect(JSON.parse(got)).toEqual({ ...JSON.parse(text), kv_transfer_params: JSON.parse(opaque.toString()) });
      }),
    );
  });
});
