import type { Static } from 'typebox';
import { union } from './union.ts';

/** How the engines of a group share the work of one request. */
export const topology = union(
  'How the engines share the work of one request. Aggregate: each engine does prefill and decode.',
  { Aggregate: null },
  { type: 'Aggregate' },
);

export type Topology = Static<typeof topology>;
