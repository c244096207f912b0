import { Type } from 'typebox';
import type { Static } from 'typebox';
import { duration } from './duration.ts';
import { urlPath } from './names.ts';
import { closed } from './schema-node.ts';

const passive = closed(
  {
    consecutiveFailures: Type.Integer({
      minimum: 1,
      maximum: 1000,
      default: 5,
      description: 'Failed requests in a row that eject an endpoint.',
    }),
    ejectFor: duration('How long an endpoint stays ejected.', '10s'),
    maxEjectedPercent: Type.Integer({
      minimum: 0,
      maximum: 100,
      default: 50,
      description: 'Most endpoints of the group that may be ejected at once, in percent; 0 ejects none.',
    }),
  },
  { default: {}, description: 'What the answers to requests tell of an endpoint.' },
);

/** How the router learns which engines can serve. */
export const health = closed(
  {
    path: urlPath('Path of the health check.', '/health'),
    interval: duration('Time between two checks of an engine.', '2s'),
    timeout: duration('How long a check may take.', '1s'),
    failures: Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 3,
      description: 'Failed checks in a row that take an endpoint out.',
    }),
    successes: Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 1,
      description: 'Good checks in a row that bring it back.',
    }),
    passive,
  },
  { default: {}, description: 'How the router learns which engines can serve.' },
);

export type Health = Static<typeof health>;
