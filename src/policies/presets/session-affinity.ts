import { definePreset } from '../definition.ts';
import { sessionAffinity } from '../scorers/session-affinity.ts';

/** A session stays on one endpoint; requests without a session go anywhere. */
export const sessionAffinityPreset = definePreset({
  kind: 'preset',
  type: 'SessionAffinity',
  member: 'sessionAffinity',
  summary: 'A session stays on one endpoint; requests without a session go anywhere.',
  parameters: sessionAffinity.parameters,
  expand: ({ header }) => ({
    scorers: [{ type: 'scorer-session-affinity', weight: 1, parameters: { header } }],
    picker: { type: 'picker-min-random' },
  }),
});
