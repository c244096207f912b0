import { describe, expect, it } from 'vitest';
import { RoutingError } from './errors.ts';

describe('RoutingError', () => {
  it('says who is at fault, and is not worth a retry unless it says so', () => {
    const error = new RoutingError('missing_model', 'say which model', { source: 'client' });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'RoutingError',
      message: 'say which model',
      code: 'missing_model',
      source: 'client',
      retryable: false,
      param: null,
      allow: null,
    });
    expect('cause' in error).toBe(false);
  });

  it('carries the field, the method and the cause where there are any', () => {
    const cause = new Error('ECONNREFUSED');
    const detail = { source: 'backend', retryable: true, param: 'model', allow: 'POST', cause } as const;
    expect(new RoutingError('upstream_unreachable', 'm', detail)).toMatchObject(detail);
  });
});
