import { Type } from 'typebox';
import type { Candidates } from '../../router/candidates.ts';
import type { Endpoint } from '../../router/endpoint.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineScorer } from '../definition.ts';

/**
 * Rendezvous hash (highest random weight, Thaler and Ravishankar 1998) of session and endpoint address: replicas of
 * the router agree without talking, and a lost endpoint moves only its own sessions. A request without a session
 * scores 0 everywhere.
 */
export const sessionAffinity = defineScorer({
  kind: 'scorer',
  type: 'scorer-session-affinity',
  summary: 'Keeps a session (a header, else the `user` of the body) on one endpoint by rendezvous hash.',
  direction: 'gain',
  readsHits: false,
  parameters: Type.Object(
    {
      header: Type.String({
        minLength: 1,
        maxLength: 128,
        pattern: "^[A-Za-z0-9!#$%&'*+.^_|~-]+$",
        default: 'x-session-id',
        description: 'Request header that names the session.',
      }),
    },
    { additionalProperties: false },
  ),
  create: (parameters) => {
    const header = parameters.header.toLowerCase();
    const seeds = new WeakMap<Endpoint, number>();
    const seedOf = (endpoint: Endpoint): number => {
      let seed = seeds.get(endpoint);
      if (seed === undefined) {
        seed = hash(0, endpoint.address);
        seeds.set(endpoint, seed);
      }
      return seed;
    };
    return {
      score(request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
        // An empty header names no session.
        const session = request.headers.get(header) || request.user;
        if (session === '') {
          out.fill(0, 0, candidates.length);
          return;
        }
        const key = hash(0x9e3779b9, session);
        for (let i = 0; i < candidates.length; i++) {
          out[i] = (mix(key ^ seedOf(candidates.endpoints[i])) >>> 0) / 0x100000000;
        }
      },
    };
  },
});

/** FNV-1a over UTF-16 code units, finalised. */
function hash(seed: number, text: string): number {
  let h = seed ^ 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h);
}

function mix(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
