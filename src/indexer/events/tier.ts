import { Tier } from '../kv-events.ts';

/**
 * `medium` of vLLM (GPU, CPU, STORAGE), SGLang (GPU, CPU_PINNED, DISK, EXTERNAL) and LMCache (cpu, disk, and what its
 * back ends are called), in lower case.
 */
const tiers: ReadonlyMap<string, Tier> = new Map<string, Tier>([
  ['gpu', Tier.gpu],
  ['npu', Tier.gpu],
  ['xpu', Tier.gpu],
  ['tpu', Tier.gpu],
  ['hbm', Tier.gpu],
  ['device', Tier.gpu],
  ['cpu', Tier.cpu],
  ['cpu_pinned', Tier.cpu],
  ['cpu_tier1', Tier.cpu],
  ['cpu_tier2', Tier.cpu],
  ['dram', Tier.cpu],
  ['host', Tier.cpu],
  ['localcpubackend', Tier.cpu],
  ['disk', Tier.disk],
  ['ssd', Tier.disk],
  ['nvme', Tier.disk],
  ['storage', Tier.disk],
  ['external', Tier.disk],
  ['remote', Tier.disk],
  ['localdiskbackend', Tier.disk],
]);

/** Where a medium's blocks lie; undefined for a name that nobody knows. */
export function tierOf(medium: string): Tier | undefined {
  return tiers.get(medium) ?? tiers.get(medium.toLowerCase());
}
