import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { createLog } from '../../observability/log.ts';
import { findKubeConfig, type KubeConfigOptions } from './kube-config.ts';
import { KubeConfigError } from './section.ts';

let folder: string;
let clock: ManualClock;
let lines: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kube-config-'));
  clock = new ManualClock();
  lines = [];
});

afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function find(more: Partial<KubeConfigOptions> = {}) {
  return findKubeConfig({ env: {}, clock, log: createLog((line) => lines.push(line)), home: folder, ...more });
}

/** A kubeconfig whose only context has this cluster and this user. */
function kubeconfig(cluster: object, user: object, context: object = {}): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'x',
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', ...context } }],
    clusters: [{ name: 'c', cluster: { server: 'https://k:6443', ...cluster } }],
    users: [{ name: 'u', user }],
  });
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** The message of what it throws, which must be a KubeConfigError. */
function faultOf(what: () => unknown): string {
  try {
    what();
  } catch (error) {
    expect(error).toBeInstanceOf(KubeConfigError);
    return error instanceof Error ? error.message : '';
  }
  throw new Error('nothing was thrown');
}

describe('the way to the API server', () => {
  function serviceAccount(): string {
    const path = join(folder, 'sa');
    mkdirSync(path);
    writeFileSync(join(path, 'token'), 'first\n');
    writeFileSync(join(path, 'ca.crt'), 'CA');
    writeFileSync(join(path, 'namespace'), 'team\n');
    return path;
  }
  const pod = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '6443' };

  it('is the flag before the environment, that before the pod, and that before the home folder', () => {
    const named = (name: string, server: string): string => write(name, kubeconfig({ server }, {}));
    mkdirSync(join(folder, '.kube'));
    named('.kube/config', 'https://home');
    expect(find().server.host).toBe('home');
    const inPod = { serviceAccount: serviceAccount(), env: pod };
    expect(find(inPod).server.href).toBe('https://10.0.0.1:6443/');
    const env = { ...pod, KUBECONFIG: named('env', 'https://env') };
    expect(find({ ...inPod, env }).server.host).toBe('env');
    expect(find({ ...inPod, env, kubeconfig: named('flag', 'https://flag') }).server.host).toBe('flag');
  });

  it('of a pod has the namespace, the authority and a token that is read anew each minute and after a refusal', async () => {
    const connection = find({ serviceAccount: serviceAccount(), env: { ...pod, KUBERNETES_SERVICE_HOST: 'fd00::1' } });
    expect(connection).toMatchObject({ namespace: 'team', tls: { ca: 'CA' } });
    expect(connection.server.href).toBe('https://[fd00::1]:6443/');
    const { credentials } = connection;
    const token = async () => (await credentials.current()).authorization;
    expect(await token()).toBe('Bearer first');
    write('sa/token', 'second');
    clock.advance(59_999);
    expect(await token()).toBe('Bearer first');
    clock.advance(1);
    expect(await token()).toBe('Bearer second');
    write('sa/token', 'third');
    expect(await token()).toBe('Bearer second');
    credentials.refused();
    expect(await token()).toBe('Bearer third');
    write('sa/token', '');
    credentials.refused();
    expect(await token()).toBe('Bearer third');
    expect(lines).toHaveLength(1);
    write('sa/token', 'fourth');
    expect(await token()).toBe('Bearer fourth');
  });

  it('of a pod without a token rejects with its place and the cure', async () => {
    const path = serviceAccount();
    rmSync(join(path, 'token'));
    await expect(find({ serviceAccount: path, env: pod }).credentials.current()).rejects.toThrow(/token.*mount/);
    rmSync(join(path, 'namespace'));
    expect(faultOf(() => find({ serviceAccount: path, env: pod }))).toContain('automountServiceAccountToken');
  });

  it('that is nowhere says what to do', () => {
    expect(faultOf(() => find())).toContain('--manifests');
    expect(faultOf(() => find({ kubeconfig: join(folder, 'none') }))).toContain('cannot read the kubeconfig');
    expect(faultOf(() => find({ env: { KUBECONFIG: '/none/a:/none/b' } }))).toContain('/none/a:/none/b');
  });
});

describe('a kubeconfig', () => {
  it('brings server, namespace, authority, certificate and token, from its data', async () => {
    const cluster = { 'certificate-authority-data': base64('CA'), 'tls-server-name': 'k8s' };
    const user = { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY'), token: 't' };
    const connection = find({ kubeconfig: write('k', kubeconfig(cluster, user, { namespace: 'team' })) });
    expect(connection).toMatchObject({ namespace: 'team', source: join(folder, 'k') });
    expect(connection.tls).toEqual({ ca: 'CA', cert: 'CERT', key: 'KEY', servername: 'k8s' });
    expect(await connection.credentials.current()).toEqual({ authorization: 'Bearer t' });
  });

  it('brings them from files, beside itself where they are relative', async () => {
    write('ca', 'CA');
    write('cert', 'CERT');
    write('token', 'T');
    const cluster = { 'certificate-authority': 'ca', 'insecure-skip-tls-verify': true };
    const user = { 'client-certificate': 'cert', 'client-key': write('key', 'KEY'), tokenFile: 'token' };
    const connection = find({ kubeconfig: write('k', kubeconfig(cluster, user)) });
    expect(connection.tls).toEqual({ ca: 'CA', cert: 'CERT', key: 'KEY', rejectUnauthorized: false });
    expect(connection.namespace).toBe('default');
    expect(await connection.credentials.current()).toEqual({ authorization: 'Bearer T' });
  });

  it('is YAML, may name no user, and is merged from several files of which the first wins', async () => {
    const first = write('first', 'current-context: x\ncontexts:\n- name: x\n  context: {cluster: c}\n');
    const second = write(
      'second',
      'current-context: y\nclusters:\n- name: c\n  cluster:\n    server: http://127.0.0.1:1/base\n',
    );
    const connection = find({ env: { KUBECONFIG: `${first}:${join(folder, 'missing')}:${second}` } });
    expect(connection.server.href).toBe('http://127.0.0.1:1/base');
    expect(await connection.credentials.current()).toEqual({ authorization: null });
  });

  it.each<[string, object, object, object, string]>([
    ['no address', { server: 'k8s' }, {}, {}, 'clusters[c].cluster.server must be a https or http address'],
    ['no server', { server: '' }, {}, {}, 'clusters[c].cluster.server is missing'],
    ['a cluster that is not there', {}, {}, { cluster: 'other' }, 'there is no cluster "other"'],
    ['a user that is not there', {}, {}, { user: 'other' }, 'there is no user "other"'],
    ['a number for a name', {}, {}, { namespace: 7 }, 'contexts[x].context.namespace must be a string'],
    [
      'an authority that is not there',
      { 'certificate-authority': 'none' },
      {},
      {},
      'certificate-authority cannot be read',
    ],
    ['a certificate without its key', {}, { 'client-certificate-data': 'YQ==' }, {}, 'client-key is missing'],
    ['a key without its certificate', {}, { 'client-key-data': 'YQ==' }, {}, 'client-certificate is missing'],
    ['a word for a flag', { 'insecure-skip-tls-verify': 'yes' }, {}, {}, 'must be true or false'],
    ['a proxy', { 'proxy-url': 'http://p' }, {}, {}, 'proxy-url is not supported'],
    ['a password', {}, { username: 'me', password: 'x' }, {}, 'username is not supported'],
    ['somebody else to act as', {}, { as: 'admin', token: 't' }, {}, 'as is not supported'],
    ['a program without a command', {}, { exec: {} }, {}, 'users[u].user.exec.command is missing'],
  ])('with %s is refused with its file and field', (_name, cluster, user, context, words) => {
    const path = write('k', kubeconfig(cluster, user, context));
    const message = faultOf(() => find({ kubeconfig: path }));
    expect(message).toContain(`${path}: `);
    expect(message).toContain(words);
  });

  it.each([
    ['nothing', '', 'the input is empty'],
    ['nothing of use', '{}', 'current-context is missing'],
    ['a list', '[]', 'the file must be a mapping'],
    ['no YAML', '{', 'no YAML'],
    ['a mapping of contexts', '{current-context: x, contexts: {}}', 'contexts must be a list'],
    ['a list of words', '{current-context: x, contexts: [x]}', 'contexts[0] must be a mapping'],
  ])('that holds %s is refused', (_name, text, words) => {
    expect(faultOf(() => find({ kubeconfig: write('k', text) }))).toContain(words);
  });
});

describe('a program that makes credentials', () => {
  const credential = (status: object): string =>
    JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status });

  it('is run, beside the kubeconfig, and run anew after a refusal', { timeout: 60_000 }, async () => {
    write('answer', credential({ token: 'made', expirationTimestamp: '2999-01-01T00:00:00Z' }));
    writeFileSync(join(folder, 'program'), `#!/bin/sh\ncat "${join(folder, 'answer')}"\n`, { mode: 0o755 });
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: './program', interactiveMode: 'Never' };
    const { credentials } = find({ kubeconfig: write('k', kubeconfig({ server: 'http://127.0.0.1:1' }, { exec })) });
    expect(await credentials.current()).toEqual({ authorization: 'Bearer made' });
    write('answer', credential({ token: 'newer', clientCertificateData: 'CERT', clientKeyData: 'KEY' }));
    expect(await credentials.current()).toEqual({ authorization: 'Bearer made' });
    credentials.refused();
    expect(await credentials.current()).toEqual({ authorization: 'Bearer newer', cert: 'CERT', key: 'KEY' });
    write('answer', 'nonsense');
    credentials.refused();
    await expect(credentials.current()).rejects.toBeInstanceOf(KubeConfigError);
  });
});
