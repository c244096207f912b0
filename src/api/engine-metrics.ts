import type { Static } from 'typebox';
import { duration, parseDuration } from './duration.ts';
import { urlPath } from './names.ts';
import { closed, withRules } from './schema-node.ts';

/** How the load of the engines is read. */
export const engineMetrics = withRules(
  closed(
    {
      interval: duration('Time between two scrapes of an engine.', '1s'),
      timeout: duration('How long a scrape may take.', '1s'),
      path: urlPath('Path of the Prometheus metrics.', '/metrics'),
      staleAfter: duration('Scraped numbers older than this count as zero.', '10s'),
    },
    { default: {}, description: 'How the load of the engines is read.' },
  ),
  [
    {
      // The API server holds the default, an empty map, to this rule before it fills the fields in.
      cel: '!has(self.staleAfter) || !has(self.interval) || duration(self.staleAfter) >= duration(self.interval)',
      message: 'is shorter than `interval`, so that every number would be stale',
      cure: 'write a `staleAfter` of several intervals',
      field: 'staleAfter',
      check: ({ staleAfter, interval }) => parseDuration(staleAfter) >= parseDuration(interval),
    },
  ],
);

export type EngineMetrics = Static<typeof engineMetrics>;
