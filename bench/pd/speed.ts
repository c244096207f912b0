import { serviceModelFor as modelFor, type ServiceModel } from '../../src/sim/service-model.ts';

/** The block of vllm-ascend; a run with 16 takes twice as long. */
const blockSize = 128;

/** The simulated engine on so many chips. */
export function serviceModelFor(tpSize: number): ServiceModel {
  return { ...modelFor(tpSize), blockSize };
}
