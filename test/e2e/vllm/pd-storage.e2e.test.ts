import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SharedStorage } from './connectors.ts';
import { names, openFronts, ways, type Fronts } from './fronts.ts';
import { storagePair, type Pair } from './pair.ts';
import { install } from './real-engine.ts';
import { say } from './said.ts';

const opened = new AsyncDisposableStack();
const storage = opened.adopt(new SharedStorage(), (one) => one.dispose());
let pair: Pair;
let fronts: Fronts;

beforeAll(async () => {
  install();
  pair = opened.adopt(await storagePair(storage), (one) => one.close());
  fronts = await openFronts(pair, opened);
}, 900_000);

afterAll(() => opened.disposeAsync());

describe.each(names)(
  'two engines with a shared folder, whose prefiller says nothing of its blocks, by the %s',
  (by) => {
    it.each(ways)('answer %s as one does, with blocks out of the folder', async (way, ask, how) => {
      const asked = ask(`${by} ${way}`);
      const hits = () => pair.decoder.gauge('vllm:external_prefix_cache_hits_total');
      const alone = await say(pair.toPrefiller, asked, how);
      storage.clear();
      const before = await hits();
      expect(await say(fronts[by].client, asked, how)).toEqual(alone);
      // All full blocks but the last.
      expect((await hits()) - before).toBeGreaterThan(alone.promptTokens - 66);
    });
  },
);
