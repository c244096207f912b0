import { describe, expect, it } from 'vitest';
import type { RedisStore } from '../../api/prefix-store.ts';
import { MissingSecretError, redisTarget } from './redis-target.ts';

const secrets = new Map([
  ['ns/login', { username: 'router\n', password: 'secret\n' }],
  ['ns/password', { password: 'secret' }],
  ['ns/ca', { 'ca.crt': 'PEM' }],
  ['other/theirs', { password: 'theirs' }],
]);
const around = { namespace: 'ns', secrets };
const service = { name: 'valkey', port: 6379 };

describe('the place of a shared store', () => {
  it.each<[string, RedisStore, object]>([
    ['is a Service of the group’s namespace', { service }, { host: 'valkey.ns', port: 6379 }],
    ['is an address', { address: 'valkey.example:6380' }, { host: 'valkey.example', port: 6380 }],
    ['is an IPv6 address without its brackets', { address: '[fd00::1]:6379' }, { host: 'fd00::1', port: 6379 }],
    ['comes with user and password, without line ends', { service, secretRef: { name: 'login' } }, { username: 'router', password: 'secret' }],
    ['comes with a password alone', { service, secretRef: { name: 'password' } }, { password: 'secret' }],
    ['speaks TLS by the authorities of the system', { service, tls: {} }, { tls: {} }],
    ['speaks TLS by its own authorities and name', { service, tls: { caSecretRef: { name: 'ca' }, serverName: 'v' } }, { tls: { ca: 'PEM', serverName: 'v' } }],
  ])('%s', (_name, redis, expected) => {
    expect(redisTarget(redis, around)).toMatchObject(expected);
  }); // prettier-ignore

  it.each<[string, RedisStore, string]>([
    ['a Secret is missing', { service, secretRef: { name: 'none' } }, 'key password of Secret none'],
    ['a Secret is of another namespace', { service, secretRef: { name: 'theirs' } }, 'key password of Secret theirs'],
    ['its key is missing', { service, tls: { caSecretRef: { name: 'password' } } }, 'key ca.crt of Secret password'],
  ])('is not known while %s', (_name, redis, message) => {
    expect(() => redisTarget(redis, around)).toThrow(MissingSecretError);
    expect(() => redisTarget(redis, around)).toThrow(message);
  });
});
