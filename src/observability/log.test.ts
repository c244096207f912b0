import { beforeEach, describe, expect, it } from 'vitest';
import { createLog, errorText, rateLimited, type Log } from './log.ts';

let lines: unknown[];
let log: Log;

beforeEach(() => {
  lines = [];
  log = createLog((line) => lines.push(JSON.parse(line)));
});

describe('createLog', () => {
  it('writes one line of JSON per event', () => {
    log.info('listening', { server: 'proxy', address: '127.0.0.1:8000' });
    log.warn('odd\nline', { none: undefined, nothing: null });
    log.error('bad');
    expect(lines).toEqual([
      { level: 'info', msg: 'listening', server: 'proxy', address: '127.0.0.1:8000' },
      { level: 'warn', msg: 'odd\nline', nothing: null },
      { level: 'error', msg: 'bad' },
    ]);
  });

  it('never breaks a line', () => {
    const texts: string[] = [];
    createLog((line) => texts.push(line)).info('a\nb', { c: 'd\r\ne' });
    expect(texts[0]).not.toMatch(/[\r\n]/);
  });
});

describe('rateLimited', () => {
  it('passes one line of a message in five seconds and says how many it kept back', () => {
    let now = 0;
    const limited = rateLimited(log, () => now);
    for (let i = 0; i < 1000; i++) limited.warn('manager down', { reason: 'timeout' });
    now = 4999;
    limited.warn('manager down');
    expect(lines).toHaveLength(1);
    now = 5000;
    limited.warn('manager down', { reason: 'refused' });
    expect(lines[1]).toEqual({ level: 'warn', msg: 'manager down', reason: 'refused', repeated: 1000 });
    now = 10_000;
    limited.warn('manager down');
    expect(lines[2]).toEqual({ level: 'warn', msg: 'manager down' });
  });

  it('limits each message for itself', () => {
    const limited = rateLimited(log, () => 0);
    limited.info('a');
    limited.error('b');
    limited.info('a');
    expect(lines).toMatchObject([{ msg: 'a' }, { msg: 'b' }]);
  });
});

describe('errorText', () => {
  it.each([
    [new Error('words'), 'words'],
    ['text', 'text'],
    [undefined, 'undefined'],
  ])('tells %s', (thrown, wanted) => expect(errorText(thrown)).toBe(wanted));
});
