import { describe, expect, it } from 'vitest';
import { hostAndPort, isForbiddenTarget } from './target.ts';

describe('isForbiddenTarget', () => {
  it.each([
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'this network'],
    ['169.254.169.254', 'link-local: cloud metadata'],
    ['224.0.0.1', 'multicast'],
    ['239.255.255.250', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['0:0:0:0:0:0:0:1', 'loopback, written out'],
    ['fe80::1', 'link-local'],
    ['febf::1', 'link-local, the last of them'],
    ['fe80::1%eth0', 'link-local with a zone'],
    ['fd00::1%eth0', 'an address with a zone'],
    ['ff02::1', 'multicast'],
    ['::ffff:127.0.0.1', 'mapped loopback'],
    ['::ffff:7f00:1', 'mapped loopback in hexadecimal'],
    ['::FFFF:169.254.169.254', 'mapped link-local'],
    ['::ffff:0.0.0.0', 'mapped unspecified'],
    ['::127.0.0.1', 'loopback in the old compatible form'],
    ['64:ff9b::127.0.0.1', 'loopback behind NAT64'],
    ['64:ff9b::a9fe:a9fe', 'link-local behind NAT64'],
    ['64:ff9b::', 'unspecified behind NAT64'],
    ['64:ff9b::1:0', '0.1.0.0 behind NAT64'],
    ['localhost', 'a name'],
    ['engine.example', 'a name'],
    ['127.1', 'a short form that some resolvers take for loopback'],
    ['0x7f.0.0.1', 'a hexadecimal form'],
    ['', 'nothing'],
    ['10.0.0.1:8000', 'an address with a port'],
  ])('refuses %s: %s', (address) => {
    expect(isForbiddenTarget(address)).toBe(true);
  });

  it.each([
    ['10.0.0.1', 'private'],
    ['172.16.0.9', 'private'],
    ['192.168.7.21', 'private'],
    ['100.64.0.1', 'shared'],
    ['8.8.8.8', 'public'],
    ['126.255.255.255', 'just before loopback'],
    ['128.0.0.1', 'just after loopback'],
    ['169.253.255.255', 'just before link-local'],
    ['223.255.255.255', 'just before multicast'],
    ['240.0.0.1', 'once reserved; some clouds give it to Pods'],
    ['fd00:10:244::1', 'private'],
    ['2001:db8::1', 'documentation'],
    ['fec0::1', 'just after link-local'],
    ['::ffff:10.0.0.1', 'mapped private'],
    ['64:ff9b::10.0.0.1', 'private behind NAT64'],
  ])('allows %s: %s', (address) => {
    expect(isForbiddenTarget(address)).toBe(false);
  });
});

describe('hostAndPort', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1:8000'],
    ['fd00::1', '[fd00::1]:8000'],
    ['engine.example', 'engine.example:8000'],
  ])('writes %s as %s', (host, address) => {
    expect(hostAndPort(host, 8000)).toBe(address);
  });
});
