import { Type } from 'typebox';
import type { Static } from 'typebox';
import { backendRefs } from './backend-refs.ts';
import { match } from './match.ts';
import { resource, routerClassName } from './resource.ts';
import { retries } from './retries.ts';
import { closed } from './schema-node.ts';
import { strategy } from './strategy.ts';
import { timeouts } from './timeouts.ts';

const debug = closed(
  {
    headers: Type.Boolean({
      default: false,
      description: 'Whether clients may ask for the decision by `x-hermes-debug: 1`.',
    }),
  },
  { default: {}, description: 'What clients may ask about decisions.' },
);

const spec = closed(
  { routerClassName, match, backendRefs, strategy, timeouts, retries, debug },
  { description: 'What the policy is to be.' },
);

/** How the requests of some models are routed. */
export const routingPolicy = resource('RoutingPolicy', spec, 'How the requests of some models are routed.');

export type RoutingPolicySpec = Static<typeof spec>;
export type RoutingPolicy = Static<typeof routingPolicy>;
