import type { Declared } from './endpoint-picker-config-declared.ts';
import type { Findings } from './endpoint-picker-config-findings.ts';

const ownSize =
  'has no effect: what is remembered of an engine follows the size of its KV cache, in pieces of 256 bytes';

const idle: Readonly<Record<string, string>> = {
  autoTune: ownSize,
  blockSize: ownSize,
  hashBlockSize: ownSize,
  blockSizeTokens: ownSize,
  maxPrefixBlocksToMatch: ownSize,
  maxPrefixTokensToMatch: ownSize,
  lruCapacityPerServer: ownSize,
  maxModelLen: 'has no effect: the length of a prompt does not count by itself',
};

/** Notes for parameters that are accepted and change nothing. */
export function noteParameters(plugins: Iterable<Declared>, found: Findings): void {
  for (const { path, parameters, kind } of plugins) {
    for (const name of Object.keys(parameters)) {
      if (kind?.own.has(name) === true || !Object.hasOwn(idle, name)) continue;
      found.note(`${path}.parameters.${name}`, idle[name]);
    }
  }
}
