import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SimEngine } from '../../src/sim/server.ts';
import { selfSigned } from './testkit/certificate.ts';
import { Client } from './testkit/client.ts';
import { group, ManifestFolder, policy } from './testkit/manifests.ts';
import { startRouter, type RunningRouter } from './testkit/router.ts';
import { closeAll, startEngines } from './testkit/sim.ts';
import { until } from './testkit/until.ts';

const first = selfSigned('first.test');
const second = selfSigned('second.test');
const folder = new ManifestFolder([]);
const [cert, key] = [join(folder.path, 'cert.pem'), join(folder.path, 'key.pem')];

let engines: SimEngine[];
let router: RunningRouter;

beforeAll(async () => {
  put(first);
  engines = await startEngines(1, 'chat', { speedUp: 20 });
  const documents = [group('chat', [engines[0].address]), policy('chat')];
  router = await startRouter(documents, { flags: ['--tls-cert', cert, '--tls-key', key] });
});

afterAll(async () => {
  await router.stop();
  await closeAll(engines);
  folder.dispose();
});

it('TLS in front: answers, takes up a renewed certificate, and keeps a good one when the new one is broken', async () => {
  const before = new Client(router.proxy, { connect: { ca: first.cert } });
  expect((await before.chat('chat')).status).toBe(200);
  expect((await (await before.stream('chat')).drain()).events.at(-1)).toBe('[DONE]');
  expect(await nameInFront()).toBe('first.test');

  put({ cert: 'broken', key: 'broken' });
  await until('the broken certificate is refused', () => router.process.stdout.includes('the old one stays'));
  expect(await nameInFront()).toBe('first.test');

  put(second);
  await until('the new certificate is shown', async () => (await nameInFront()) === 'second.test');
  // Connections that stand go on.
  expect((await before.chat('chat')).status).toBe(200);
  const after = new Client(router.proxy, { connect: { ca: second.cert } });
  expect((await after.chat('chat')).status).toBe(200);
  await Promise.all([before.close(), after.close()]);
});

function put(pair: { cert: string; key: string }): void {
  for (const [file, text] of [
    [key, pair.key],
    [cert, pair.cert],
  ]) {
    writeFileSync(`${file}.draft`, text);
    renameSync(`${file}.draft`, file);
  }
}

/** The name in the certificate that a new connection is shown. */
function nameInFront(): Promise<string> {
  const [host, port] = router.proxy.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on('error', reject);
  });
}
