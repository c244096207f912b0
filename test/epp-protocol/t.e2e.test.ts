import { it } from 'vitest';
import { Chance } from '../e2e/testkit/mutations.ts';
import { Conversation } from './conversation.ts';
import { mutateCall } from './mutations.ts';
import { connectTo, openTarget } from './target.ts';
it('x', async () => {
  const target = await openTarget({ flags: ['--deadline', '2s'] });
  const shared = await connectTo(target);
  let turn = 0; const slow: string[] = []; const t0 = performance.now(); const hist = new Map<number, number>();
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (turn < 4000) {
      turn++; if (turn % 500 === 0) console.log(turn, performance.now() - t0);
      const chance = new Chance(7 * 100_003 + turn);
      const m = mutateCall(chance);
      const { call } = new Conversation(shared);
      for (const x of m.messages) call.send(x);
      const reset = chance.below(8) === 0;
      const t = performance.now();
      if (reset) call.reset(); else call.halfClose();
      const { code } = await call.status;
      const d = performance.now() - t;
      hist.set(Math.round(d / 100), (hist.get(Math.round(d / 100)) ?? 0) + 1);
      if (d > 500) slow.push(`${d.toFixed(0)} ${reset} ${code} ${call.messages.length} ` + m.messages.map((x) => x.toString('latin1').replace(/[^ -~]/g, '.').slice(0, 60)).join(' | '));
    }
  }));
  console.log(performance.now() - t0, hist, slow.slice(0, 6).join('\n'));
  await shared.close(); await target.stop();
}, 100000);
