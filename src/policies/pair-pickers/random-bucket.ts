import type { Pairs } from '../../router/pairs.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { definePairPicker } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** Any group, then any prefiller and any decoder of it (v25.12). */
export const randomBucket = definePairPicker({
  kind: 'pair-picker',
  type: 'picker-random-pd-bucket',
  summary: 'A random group, then a random prefiller and a random decoder of it, whatever their scores.',
  parameters: noParameters,
  create: (_parameters, { random }) => {
    const among = (starts: Int32Array, group: number): number =>
      starts[group] + Math.floor(random() * (starts[group + 1] - starts[group]));
    return {
      pick(_request: InferenceRequest, pairs: Pairs): void {
        const { length, prefillStarts, decodeStarts } = pairs;
        const group = Math.floor(random() * length);
        pairs.group = group;
        pairs.prefill = among(prefillStarts, group);
        pairs.decode = among(decodeStarts, group);
        pairs.equals = 0;
        for (let g = 0; g < length; g++)
          pairs.equals += (prefillStarts[g + 1] - prefillStarts[g]) * (decodeStarts[g + 1] - decodeStarts[g]);
      },
    };
  },
});
