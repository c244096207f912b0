import { lookup as resolve, type LookupAddress, type LookupOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';

/** Why nobody may connect to an address that a name has led to, as a sentence without a full stop; null where one may. */
export type Refusal = (address: string) => string | null;

/** What a name led to is no place for a group to point at. */
export class TargetRefusedError extends Error {
  override readonly name = 'TargetRefusedError';
}

type Resolve = (
  host: string,
  options: LookupOptions & { all: true },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * Resolves names for `connect` and leaves out addresses that are refused. The check is of the very addresses that are
 * then connected to: a name that means another address a moment later finds no gap.
 */
export function guardedLookup(
  refusal: Refusal,
  onRefused: (message: string) => void,
  lookup: Resolve = resolve,
): LookupFunction {
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, []);
        return;
      }
      const reasons = addresses.map(({ address }) => refusal(address));
      const allowed = addresses.filter((_address, i) => reasons[i] === null);
      if (allowed.length === 0) {
        const message = reasons.find((reason) => reason !== null) ?? `${host} has no address`;
        onRefused(message);
        callback(new TargetRefusedError(message), []);
      } else if (options.all === true) callback(null, allowed);
      else callback(null, allowed[0].address, allowed[0].family);
    });
  };
}
