import { mutateBody, mutateBytes, type Chance } from '../e2e/testkit/mutations.ts';
import { chatHeaders, okHeaders, subsetHint } from './conversation.ts';
import { Flag, frame, FrameType, opening, preface, settings, windowUpdate } from './frames.ts';
import { framed, healthPath, processPath } from './grpc.ts';
import { bodyMessage, headersMessage, trailersMessage, type Context, type Headers } from './messages.ts';

const strangeHeaders: readonly Headers[] = [
  chatHeaders,
  { ...chatHeaders, ':path': '/v1/models' },
  { ...chatHeaders, ':method': 'GET', ':path': '/v1/models/m' },
  { ...chatHeaders, ':path': '/v1/chat/../admin' },
  { ...chatHeaders, 'content-length': '99999999999999999999' },
  { ...chatHeaders, 'content-length': '-1' },
  { ...chatHeaders, 'content-type': '\xff' },
  { ...chatHeaders, 'x-request-id': '\r\nx: y' },
  { ...chatHeaders, 'x-gateway-destination-endpoint': '127.0.0.1:1' },
  { ...chatHeaders, 'x-llm-d-inference-objective': '__proto__' },
  { '': '', __proto__x: 'y', constructor: 'z' },
  {},
  Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`x-${i}`, 'y'.repeat(i)])),
];

const hints = ['', ',,,', '127.0.0.1:1', '[::1]:80', ':', 'x'.repeat(5000), [], [''], ['a', 'b']];

function contextOf(chance: Chance): Context {
  switch (chance.below(8)) {
    case 0:
      return subsetHint(chance.of(hints));
    case 1:
      return {
        metadata: { 'envoy.lb.subset_hint': { 'x-gateway-destination-endpoint-subset': { a: [1, null, true] } } },
      };
    case 2:
      return {
        metadata: { 'envoy.lb': { 'x-gateway-destination-endpoint-served': chance.of(['', 'a:1', 'nobody']) } },
      };
    default:
      return {};
  }
}

/** One message, valid as such, of any phase. */
function messageOf(chance: Chance): Buffer {
  const context = contextOf(chance);
  const end = chance.below(2) === 0;
  switch (chance.below(8)) {
    case 0:
    case 1:
      return headersMessage('requestHeaders', chance.of(strangeHeaders), end, context);
    case 2:
    case 3:
      return bodyMessage('requestBody', mutateBody(chance), end, context);
    case 4:
      return headersMessage('responseHeaders', chance.of([okHeaders, {}, { ':status': 'x' }]), end, context);
    case 5:
      return bodyMessage('responseBody', mutateBody(chance), end, context);
    case 6:
      return trailersMessage('requestTrailers', {}, context);
    default:
      return trailersMessage('responseTrailers', {}, context);
  }
}

const whole = '{"model":"m","messages":[],"max_tokens":1}';
const usual = (): Buffer[] => [
  headersMessage('requestHeaders', chatHeaders, false),
  bodyMessage('requestBody', Buffer.from(whole), false),
  bodyMessage('requestBody', Buffer.alloc(0), true),
  headersMessage('responseHeaders', okHeaders, false),
  bodyMessage('responseBody', Buffer.from('{"usage":{}}'), true),
];

/**
 * The messages of a call in which something is wrong: bytes of a message, its place, or what it says; `count` of them
 * are mutants.
 */
export function mutateCall(chance: Chance): { readonly messages: readonly Buffer[]; readonly count: number } {
  const messages = usual().slice(0, 1 + chance.below(5));
  let count = 0;
  for (let left = 1 + chance.below(3); left > 0; left--) {
    const at = chance.below(messages.length + 1);
    const known = at < messages.length && chance.below(2) === 0;
    const mutant = known ? mutateBytes(messages[at], chance) : messageOf(chance);
    messages.splice(at, chance.below(2), chance.below(3) === 0 ? mutateBytes(mutant, chance) : mutant);
    count += 1;
  }
  return { messages, count };
}

const paths = [processPath, processPath, processPath, processPath, healthPath, '/', '/envoy.service.ext_proc.v3/x'];

/** A frame that is right by itself, of any type, at any stream. */
function frameOf(chance: Chance): Buffer {
  const stream = chance.of([0, 1, 1, 1, 2, 3, 5, 0x7fffffff]);
  const random = (length: number): Buffer => Buffer.from(Array.from({ length }, () => chance.below(256)));
  switch (chance.below(12)) {
    case 0:
      return opening(chance.of([1, 3, 5, 2, 0]), chance.of(paths));
    case 1:
      return frame(FrameType.reset, 0, stream, Buffer.of(0, 0, 0, chance.below(14)));
    case 2:
      return windowUpdate(stream, chance.of([0, 1, 65_535, 0x7fffffff]));
    case 3:
      return frame(FrameType.settings, chance.below(2), 0, random(6 * chance.below(3)));
    case 4:
      return frame(FrameType.ping, chance.below(2), 0, random(chance.of([8, 8, 7, 0])));
    case 5:
      return frame(FrameType.goAway, 0, 0, random(chance.of([8, 3])));
    case 6:
      return frame(FrameType.continuation, chance.of([0, 4]), stream, random(chance.below(40)));
    case 7:
      return frame(FrameType.headers, chance.of([4, 5, 0, 12, 36]), chance.of([1, 3, 5]), random(chance.below(60)));
    case 8:
      return frame(FrameType.priority, 0, stream, random(5));
    case 9:
      return frame(chance.below(256), chance.below(256), stream, random(chance.below(30)));
    default:
      return frame(FrameType.data, chance.of([0, 1, 8]), stream, framed(messageOf(chance)));
  }
}

/** The bytes of an HTTP/2 connection in which something is wrong. */
export function mutateConnection(chance: Chance): Buffer {
  const frames = [preface, settings(65_535), opening(1, processPath)];
  for (const message of usual().slice(0, 1 + chance.below(5)))
    frames.push(frame(FrameType.data, 0, 1, framed(message)));
  if (chance.below(2) === 0) frames.push(frame(FrameType.data, Flag.endStream, 1, Buffer.alloc(0)));
  for (let left = 1 + chance.below(3); left > 0; left--)
    frames.splice(1 + chance.below(frames.length), chance.below(2), frameOf(chance));
  const bytes = Buffer.concat(frames);
  return chance.below(2) === 0 ? mutateBytes(bytes, chance) : bytes;
}
