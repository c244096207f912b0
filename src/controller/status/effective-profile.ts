import type { RoutingPolicy } from '../../router/policy.ts';
import { isAccepted, profileFor } from '../../router/profiles.ts';

/**
 * What a policy's strategy expands to for the backends that it has: one line, or two where some answer by single
 * endpoints and others by pairs. Null where no version of the policy was ever valid.
 */
export function effectiveProfile(policy: RoutingPolicy): string | null {
  if (!isAccepted(policy)) return null;
  const { backends, profile } = policy;
  const used = new Set(backends.map(({ group }) => profileFor(policy, group)));
  const pairs = [...used].find((one) => one !== profile);
  if (pairs === undefined) return profile.parts.description;
  return used.has(profile)
    ? `${profile.parts.description}; pairs: ${pairs.parts.description}`
    : pairs.parts.description;
}
