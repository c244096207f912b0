import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RoutingError } from '../router/errors.ts';
import { parsePayload } from './payload.ts';

const parse = (text: string) => parsePayload(Buffer.from(text));

function fault(text: string | Buffer): RoutingError {
  try {
    parsePayload(Buffer.from(text));
  } catch (error) {
    if (error instanceof RoutingError) return error;
    throw error;
  }
  throw new Error(`the body was taken: ${text.toString()}`);
}

describe('parsePayload', () => {
  const taken: [string, string, { model?: string; stream?: boolean; user?: string; utf8?: boolean }][] = [
    ['an empty object', '{}', { model: '', stream: false, user: '', utf8: false }],
    ['white space around the object', ' \r\n\t{"model":"m"} \n', { model: 'm' }],
    ['stream and user', '{"model":"m","stream":true,"user":"u1"}', { stream: true, user: 'u1' }],
    ['null for what may be left out', '{"model":null,"stream":null,"user":null}', { model: '', stream: false, user: '' }],
    ['a user that is no string', '{"user":7}', { user: '' }],
    ['text outside ASCII as it reads', '{"model":"mödel","user":"ü€𝄞"}', { model: 'mödel', user: 'ü€𝄞', utf8: false }],
    ['the same text in escapes', '{"model":"m\\u00f6del","user":"\\u00fc\\u20ac\\ud834\\udd1e"}', { model: 'mödel', user: 'ü€𝄞', utf8: true }],
    ['escapes and text mixed', '{"model":"ö\\u00f6"}', { model: 'öö', utf8: true }],
    ['a key in escapes', '{"mod\\u0065l":"m"}', { model: 'm', utf8: true }],
    ['a model below the top level', '{"model":"m","a":{"model":"x"},"b":[{"model":"y"}]}', { model: 'm' }],
    ['"model" inside a text', '{"model":"m","prompt":"say \\"model\\": now"}', { model: 'm' }],
    ['"model" as a value', '{"model":"model","prompt":"model"}', { model: 'model' }],
    ['"model" as the value of another key', '{"prompt":"model","model":"m","user":"model"}', { model: 'm', user: 'model' }],
    ['numbers that no double holds', '{"model":"m","seed":9223372036854775807,"x":1e400,"y":-0.0}', { model: 'm' }],
    ['a key __proto__', '{"__proto__":{"model":"x","stream":true}}', { model: '', stream: false }],
    ['messages that are empty', '{"messages":[]}', {}],
  ]; // prettier-ignore
  it.each(taken)('takes %s', (_name, text, wanted) => {
    expect(parse(text)).toMatchObject(wanted);
  });

  const refused: [string, string | Buffer, { code: string; param?: string | null }][] = [
    ['nothing', '', { code: 'invalid_json', param: null }],
    ['half an object', '{"model":"m"', { code: 'invalid_json', param: null }],
    ['two objects', '{} {}', { code: 'invalid_json' }],
    ['a trailing comma', '{"model":"m",}', { code: 'invalid_json' }],
    ['single quotes', "{'model':'m'}", { code: 'invalid_json' }],
    ['a raw line end in a text', '{"model":"a\nb"}', { code: 'invalid_json' }],
    ['an array', '[{"model":"m"}]', { code: 'invalid_json' }],
    ['null', 'null', { code: 'invalid_json' }],
    ['a text', '"model"', { code: 'invalid_json' }],
    ['a byte order mark', '\ufeff{}', { code: 'invalid_json' }],
    ['UTF-16', Buffer.from('{}', 'utf16le'), { code: 'invalid_json' }],
    ['a model that is a number', '{"model":1}', { code: 'invalid_value', param: 'model' }],
    ['a model that is an array', '{"model":["m"]}', { code: 'invalid_value', param: 'model' }],
    ['a model that is an object', '{"model":{}}', { code: 'invalid_value', param: 'model' }],
    ['stream as a text', '{"stream":"true"}', { code: 'invalid_value', param: 'stream' }],
    ['stream as a number', '{"stream":1}', { code: 'invalid_value', param: 'stream' }],
    ['messages that are a text', '{"messages":"hi"}', { code: 'invalid_value', param: 'messages' }],
    ['the key model twice', '{"model":"a","model":"a"}', { code: 'invalid_value', param: 'model' }],
    ['the key model twice, once in escapes', '{"model":"a","mod\\u0065l":"b"}', { code: 'invalid_value', param: 'model' }],
    ['the key model twice, both in escapes', '{"\\u006dodel":"a","mode\\u006C":"b"}', { code: 'invalid_value', param: 'model' }],
    ['the key model twice with others between', '{"model":"a","x":{"model":1},"model":"b"}', { code: 'invalid_value', param: 'model' }],
    ['kv_transfer_params', '{"kv_transfer_params":{}}', { code: 'invalid_value', param: 'kv_transfer_params' }],
    ['kv_transfer_params of null', '{"kv_transfer_params":null}', { code: 'invalid_value', param: 'kv_transfer_params' }],
    ['kv_transfer_params in escapes', '{"kv\\u005ftransfer_params":{}}', { code: 'invalid_value', param: 'kv_transfer_params' }],
  ]; // prettier-ignore
  it.each(refused)('refuses %s', (_name, text, wanted) => {
    expect(fault(text)).toMatchObject({ source: 'client', retryable: false, ...wanted });
  });

  it('never says what stood in the body', () => {
    expect(fault('{"prompt":"canary-7f3').message).not.toContain('canary');
    expect(fault('{"model":{"x":"canary-7f3"}}').message).not.toContain('canary');
  });

  it('reads escaped keys as they are, also after keys that look like them', () => {
    // The engine of JSON.parse remembers shapes of objects and compares escaped keys by their first bytes only.
    for (const decoy of ['{"x":1,"kv\\\\u005ftransfer_p":0}', '{"x":1,"\\\\u006":0}', '{"x":1,"\\\\u0073t":0}'])
      parse(decoy);
    expect(fault('{"x":1,"kv\\u005ftransfer_params":{}}')).toMatchObject({ param: 'kv_transfer_params' });
    expect(parse('{"x":1,"\\u006dodel":"m"}').model).toBe('m');
    expect(parse('{"x":1,"\\u0073tream":true}').stream).toBe(true);
    expect(parse('{"__proto__":1,"\\u006dodel":"m"}').body).toHaveProperty('model', 'm');
  });

  it('keeps the very bytes', () => {
    const bytes = Buffer.from('{"model":"m","seed":9223372036854775807,"temperature":1.0}');
    expect(parsePayload(bytes).bytes).toBe(bytes);
  });

  it('takes nesting of any depth', () => {
    const depth = 100_000;
    expect(parse(`{"x":${'['.repeat(depth)}${']'.repeat(depth)},"model":"m"}`).model).toBe('m');
  });

  it('reads the same of any object as JSON.parse, however it is spelt', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.constantFrom('model', '"model"', '\\u006d'));
    const body = fc.record({ model: text, user: text, stream: fc.boolean(), extra: fc.jsonValue() });
    fc.assert(
      fc.property(body, fc.boolean(), (object, escaped) => {
        const json = JSON.stringify(object);
        const spelt = escaped ? json.replace(/[\u0080-\uffff]/g, escapeOf) : json;
        // Lone surrogates have no UTF-8, so the bytes are what counts.
        const bytes = Buffer.from(spelt);
        const { model, user, stream } = JSON.parse(bytes.toString('utf8')) as typeof object;
        expect(parsePayload(bytes)).toMatchObject({ model, user, stream });
      }),
    );
  });
});

function escapeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
