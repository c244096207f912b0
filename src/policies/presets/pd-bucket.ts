import { Type } from 'typebox';
import { definePreset } from '../definition.ts';
import { pdBucket } from '../pair-scorers/bucket.ts';
import { pairsByLabel } from '../pairs-by-label.ts';

const { alpha, beta, decayFactor, bucketSeperateLength } = pdBucket.parameters.properties;

/** The bucket formula of v25.12. */
export const pdBucketPreset = definePreset({
  kind: 'preset',
  type: 'PDBucket',
  member: 'pdBucket',
  summary:
    'The bucket formula of v25.12: long prompts go to groups of high tensor-parallel size, short ones elsewhere.',
  parameters: Type.Object(
    { alpha, beta, decayFactor, bucketSeparateLength: bucketSeperateLength },
    { additionalProperties: false },
  ),
  expand: ({ bucketSeparateLength, ...rest }) =>
    pairsByLabel(
      [{ type: 'scorer-pd-bucket', weight: 1, parameters: { ...rest, bucketSeperateLength: bucketSeparateLength } }],
      'picker-pd-kv-cache-aware',
    ),
});
