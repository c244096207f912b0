import type { Decision } from '../../router/decision.ts';
import type { RoutingPolicy } from '../../router/policy.ts';
import { profileFor } from '../../router/profiles.ts';

/** Header lines that name the pair to the group's leader; none where no leader hands over. */
export function leaderLines(policy: RoutingPolicy, { backend, handover }: Decision): string {
  if (handover?.by !== 'Leader') return '';
  let lines = '';
  for (const { name, side } of profileFor(policy, backend.group)?.parts.pairs?.headers ?? []) {
    lines += `${name}: ${handover[side].address}\r\n`;
  }
  return lines;
}
