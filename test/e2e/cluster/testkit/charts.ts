// Where the charts lie, and what they are installed with.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

export const project = join(import.meta.dirname, '../../../..');

export const chart = (name: string): string => join(project, 'charts', name);
export const example = (path: string): string => join(project, 'examples', path);

export const router = chart('hermes-router');
export const indexer = chart('cache-indexer');
export const infernex = chart('infernex');
export const engines = example('2_kv_aware/charts/vllm');
export const disaggregated = example('1_pd_bucket/charts/vllm-pd');
export const gateway = example('1_pd_bucket/charts/gateway');
export const profiles = readdirSync(example('profiles')).map((name) => example(`profiles/${name}`));

/** `--set` for each of the settings. */
export const set = (...settings: string[]): string[] => settings.flatMap((setting) => ['--set', setting]);
