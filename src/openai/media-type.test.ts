import { describe, expect, it } from 'vitest';
import { isJson } from './media-type.ts';

describe('isJson', () => {
  it.each(['', 'application/json', 'Application/JSON', 'application/json; charset=utf-8', 'application/vnd.x+json'])(
    'takes %j',
    (type) => expect(isJson(type)).toBe(true),
  );
  it.each([
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/jsonl',
    'application/x-www-form-urlencoded',
    'json',
  ])('refuses %j', (type) => expect(isJson(type)).toBe(false));
});
