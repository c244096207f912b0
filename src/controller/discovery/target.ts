import { BlockList, isIP } from 'node:net';

/**
 * Where nothing that serves a cluster lives: this host, this link (cloud metadata among it), many at once. Mapped and
 * translated IPv4 addresses are checked as what they stand for.
 */
const forbidden = new BlockList();
forbidden.addSubnet('0.0.0.0', 8, 'ipv4');
forbidden.addSubnet('127.0.0.0', 8, 'ipv4');
forbidden.addSubnet('169.254.0.0', 16, 'ipv4');
forbidden.addSubnet('224.0.0.0', 4, 'ipv4');
forbidden.addAddress('255.255.255.255', 'ipv4');
forbidden.addSubnet('fe80::', 10, 'ipv6');
forbidden.addSubnet('ff00::', 8, 'ipv6');
// `::`, `::1` and the IPv4 addresses that were once written with 96 leading zeros.
forbidden.addSubnet('::', 96, 'ipv6');

/** The prefix by which NAT64 reaches IPv4 addresses: RFC 6052, section 2.1. */
const nat64 = new BlockList();
nat64.addSubnet('64:ff9b::', 96, 'ipv6');

/**
 * Whether an address may not be a target in a cluster unless the operator allows external targets: loopback,
 * link-local, multicast, broadcast and unspecified addresses, and whatever is no IP address, since a name may come to
 * mean any of them.
 */
export function isForbiddenTarget(address: string): boolean {
  const family = isIP(address);
  if (family === 0 || address.includes('%')) return true;
  if (family === 4) return forbidden.check(address, 'ipv4');
  return (
    forbidden.check(address, 'ipv6') || (nat64.check(address, 'ipv6') && forbidden.check(lastOctets(address), 'ipv4'))
  );
}

/** The IPv4 address in the last 32 bits of an IPv6 one. */
function lastOctets(address: string): string {
  // The URL parser brings every spelling into one: the last two groups in hexadecimal, without leading zeros.
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1).split(':');
  const [high, low] = groups.slice(-2).map((group) => (group === '' ? 0 : Number.parseInt(group, 16)));
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** `ip:port`, or `[v6]:port`. */
export function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
