import { describe, expect, it } from 'vitest';
import { pdHeader } from './pd-header.ts';

describe('pd-header-handler', () => {
  it("names the pair in seed 2's headers", () => {
    expect(pdHeader.create({ prefillerHostPort: false })).toEqual([
      { name: 'x-openfuyao-prefill-pod-address-port', side: 'prefill' },
      { name: 'x-openfuyao-decode-pod-address-port', side: 'decode' },
    ]);
  });

  it("names the prefiller in llm-d's header, too, where it is asked to", () => {
    expect(pdHeader.create({ prefillerHostPort: true }).slice(2)).toEqual([
      { name: 'x-prefiller-host-port', side: 'prefill' },
    ]);
  });
});
