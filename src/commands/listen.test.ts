import { createServer, type Server } from 'node:net';
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { createLog, type Log } from '../observability/log.ts';
import type { TlsMaterial } from '../proxy/server.ts';
import { followTls, listen, OutsideError, readTls } from './listen.ts';

let lines: string[];
let log: Log;
let servers: Server[];

beforeEach(() => {
  lines = [];
  log = createLog((line) => lines.push(line));
  servers = [];
});

afterEach(() => {
  for (const server of servers) server.close();
});

function server(): Server {
  const made = createServer();
  servers.push(made);
  return made;
}

describe('listen', () => {
  it('says where it listens, with the port it was given', async () => {
    const address = await listen(server(), 'proxy', { host: '127.0.0.1', port: 0 }, log);
    expect(address).toMatch(/^127\.0\.0\.1:[1-9][0-9]*$/);
    expect(lines).toEqual([`{"level":"info","msg":"listening","server":"proxy","address":"${address}"}`]);
  });

  it('writes IPv6 as it is written in addresses', async () => {
    expect(await listen(server(), 'proxy', { host: '::1', port: 0 }, log)).toMatch(/^\[::1\]:[1-9][0-9]*$/);
  });

  it('fails with a sentence where the port is in use', async () => {
    const taken = await listen(server(), 'admin', { host: '127.0.0.1', port: 0 }, log);
    const again = listen(server(), 'proxy', { host: '127.0.0.1', port: Number(taken.split(':')[1]) }, log);
    await expect(again).rejects.toThrow(OutsideError);
    await expect(again).rejects.toThrow(`the proxy server cannot listen on ${taken}`);
  });
});

describe('followTls', () => {
  let folder: string;
  let files: { cert: string; key: string };
  let clock: ManualClock;
  let renewed: TlsMaterial[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hermes-tls-'));
    files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
    write('old');
    clock = new ManualClock();
    renewed = [];
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  /** New files in place of the old ones, as a mounted Secret brings them. */
  function write(text: string): void {
    for (const file of Object.values(files)) {
      rmSync(file, { force: true });
      writeFileSync(file, text);
    }
  }

  it('takes up renewed files, once', () => {
    followTls(files, clock, log, (tls) => renewed.push(tls));
    clock.advance(5000);
    expect(renewed).toEqual([]);
    write('new');
    clock.advance(5000);
    expect(renewed).toEqual([{ cert: 'new', key: 'new' }]);
  });

  it('says so where the new ones cannot be used, and takes up the next', () => {
    followTls(files, clock, log, (tls) => {
      if (tls.cert === 'bad') throw new Error('key values mismatch');
      renewed.push(tls);
    });
    write('bad');
    clock.advance(1000);
    expect(renewed).toEqual([]);
    expect(lines.join()).toContain('the old one stays');
    write('good');
    clock.advance(1000);
    expect(renewed).toEqual([{ cert: 'good', key: 'good' }]);
  });

  it('waits where a file is gone for a moment', () => {
    followTls(files, clock, log, (tls) => renewed.push(tls));
    unlinkSync(files.key);
    clock.advance(3000);
    expect(renewed).toEqual([]);
    write('new');
    clock.advance(1000);
    expect(renewed).toEqual([{ cert: 'new', key: 'new' }]);
  });

  it('is not started with files that cannot be read', () => {
    expect(() => readTls(files.cert, join(folder, 'none'))).toThrow(OutsideError);
  });
});
