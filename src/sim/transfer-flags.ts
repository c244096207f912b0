import { UsageError } from './command-io.ts';
import type { KvTransferOptions } from './engine-options.ts';
import { whole } from './flag-values.ts';
import { folderNames } from './shared-store.ts';

/** The flags of `sim-engine` about the hand-over between prefill and decode engines. */
export interface TransferFlags {
  readonly 'kv-connector'?: string | undefined;
  readonly 'kv-port'?: string | undefined;
  readonly 'kv-shared-folder'?: string | undefined;
  readonly 'kv-lease'?: string | undefined;
  readonly 'transfer-rate'?: string | undefined;
  readonly 'kv-load-failure-policy'?: string | undefined;
  readonly 'ignore-aborted-request'?: boolean | undefined;
}

const nixlFlags = ['kv-port', 'kv-lease', 'kv-load-failure-policy', 'ignore-aborted-request'] as const;

/** What they ask for: nothing without `--kv-connector`. Throws UsageError; makes the shared folder. */
export function kvTransfer(flags: TransferFlags): { kvTransfer?: KvTransferOptions } {
  const connector = connectorOf(flags);
  for (const flag of nixlFlags)
    if (flags[flag] !== undefined && connector !== 'nixl') throw new UsageError(`--${flag} needs --kv-connector nixl`);
  const folder = flags['kv-shared-folder'];
  if (folder !== undefined && connector !== 'shared')
    throw new UsageError('--kv-shared-folder needs --kv-connector shared');
  if (connector === 'nixl') return { kvTransfer: nixl(flags) };
  const names = folder === undefined ? new Set<string>() : folderNames(folder);
  return connector === 'shared' ? { kvTransfer: { connector, names } } : {};
}

function nixl(flags: TransferFlags): KvTransferOptions {
  const port = flags['kv-port'] === undefined ? 0 : whole('--kv-port', flags['kv-port'], 1);
  if (port > 65_535) throw new UsageError(`--kv-port must be at most 65535, not "${port}"`);
  const heedsAborts = flags['ignore-aborted-request'] !== true;
  return { connector: 'nixl', port, heedsAborts, loadFailurePolicy: policyOf(flags) };
}

function connectorOf({ 'kv-connector': kind = 'none' }: TransferFlags): 'nixl' | 'shared' | null {
  if (kind === 'none') return null;
  if (kind === 'nixl' || kind === 'shared') return kind;
  throw new UsageError(`--kv-connector must be none, nixl or shared, not "${kind}"`);
}

function policyOf({ 'kv-load-failure-policy': policy = 'fail' }: TransferFlags): 'fail' | 'recompute' {
  if (policy === 'fail' || policy === 'recompute') return policy;
  throw new UsageError(`--kv-load-failure-policy must be fail or recompute, not "${policy}"`);
}
