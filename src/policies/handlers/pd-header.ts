import { Type } from 'typebox';
import type { HandoverHeader } from '../../router/plugin.ts';
import { defineHandler } from '../definition.ts';

const openFuyao: readonly HandoverHeader[] = [
  { name: 'x-openfuyao-prefill-pod-address-port', side: 'prefill' },
  { name: 'x-openfuyao-decode-pod-address-port', side: 'decode' },
];
const llmd: HandoverHeader = { name: 'x-prefiller-host-port', side: 'prefill' };

/** Tells the leader by headers which pair was picked (v25.12). */
export const pdHeader = defineHandler({
  kind: 'handler',
  type: 'pd-header-handler',
  summary: "Names the picked pair to the group's leader in request headers.",
  parameters: Type.Object(
    {
      prefillerHostPort: Type.Boolean({
        default: false,
        description: "Whether to name the prefiller in x-prefiller-host-port, too, which llm-d's sidecars read.",
      }),
    },
    { additionalProperties: false },
  ),
  create: ({ prefillerHostPort }) => (prefillerHostPort ? [...openFuyao, llmd] : openFuyao),
});
