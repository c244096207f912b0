import { describe, expect, it } from 'vitest';
import { isSteering } from './steering-headers.ts';

describe('isSteering', () => {
  it.each([
    ['x-openfuyao-prefill-pod-address-port', true],
    ['x-prefiller-host-port', true],
    ['x-gateway-destination-endpoint', true],
    ['x-llm-d-inference-objective', true],
    ['x-hermes-debug', true],
    ['x-request-id', false],
    ['x-session-id', false],
    ['content-type', false],
  ])('%s: %s', (name, steers) => {
    expect(isSteering(name)).toBe(steers);
  });
});
