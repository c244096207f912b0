import type { SharedStore } from './allocation.ts';
import { SimEngineOptionError, type KvTransferOptions, type SimEngineOptions } from './engine-options.ts';
import { FaultPlan, noFault, type Fault } from './faults.ts';
import { SimHost } from './host.ts';
import { ServedModels } from './http/names.ts';
import { NixlConnector, type NixlOptions } from './nixl.ts';
import { bindPublishers } from './ranks.ts';
import { defaultServiceModel, serviceModelFor, type ServiceModel } from './service-model.ts';
import { sharedStore } from './shared-store.ts';
import type { ReadAnswer } from './side-channel.ts';
import { wallClock } from './wall-clock.ts';

const usualModelLength = 131_072;

/** Everything of an engine but its HTTP server; throws SimEngineOptionError, or the system's error when an address is taken. */
export async function startHost(options: SimEngineOptions): Promise<SimHost> {
  const own = ownParts(options);
  const publishers = options.kvEvents ? await bindPublishers(options.kvEvents, own.ranks, own.onError) : [];
  try {
    const host = new SimHost({ ...own, publishers, nixl: await openNixl(options, own) });
    host.setFault(options.fault ?? noFault);
    return host;
  } catch (error) {
    for (const publisher of publishers) publisher.close();
    throw error;
  }
}

/** All that needs no address. */
function ownParts(options: SimEngineOptions) {
  const { ranks = 1, clock = wallClock, speedUp = 1, onError = rethrow, kvTransfer, adapters = [] } = options;
  const service = serviceModelFor(options.tpSize ?? 1, { ...defaultServiceModel, ...options.service });
  const maxModelLength = options.maxModelLength ?? Math.min(usualModelLength, service.kvTokens);
  checkOptions(options, service, maxModelLength);
  const models = new ServedModels(options.models, adapters);
  const heedsAborts = kvTransfer?.heedsAborts ?? true;
  const [faults, store] = [new FaultPlan(), storeOf(kvTransfer)];
  return { models, service, maxModelLength, clock, speedUp, ranks, onError, faults, store, heedsAborts };
}

function storeOf(kvTransfer: KvTransferOptions | undefined): SharedStore | null {
  return kvTransfer?.connector === 'shared' ? sharedStore(kvTransfer.names ?? new Set()) : null;
}

type NixlParts = Pick<NixlOptions, 'service' | 'clock' | 'speedUp'> & { readonly faults: FaultPlan };

async function openNixl(options: SimEngineOptions, parts: NixlParts): Promise<NixlConnector | null> {
  const { kvTransfer, host = '127.0.0.1', tpSize = 1 } = options;
  if (kvTransfer?.connector !== 'nixl') return null;
  const { port = 0, loadFailurePolicy = 'fail' } = kvTransfer;
  const { service, clock, speedUp, faults } = parts;
  const strike = (): ReadAnswer | null => transferAnswer(faults.strikeTransfer());
  return NixlConnector.open({ host, port, tpSize, loadFailurePolicy, service, clock, speedUp, strike });
}

function transferAnswer({ type }: Fault): ReadAnswer | null {
  if (type === 'transfer-hang') return 'stall';
  if (type === 'transfer-refuse') return 'refuse';
  return type === 'transfer-ignore' ? 'ignore' : null;
}

function checkOptions(options: SimEngineOptions, service: ServiceModel, maxModelLength: number): void {
  if (options.models.length === 0) throw new SimEngineOptionError('at least one model name is needed');
  if (service.kvTokens % service.blockSize !== 0)
    throw new SimEngineOptionError(
      `a KV cache of ${service.kvTokens} tokens is no whole number of blocks of ${service.blockSize}`,
    );
  if (maxModelLength > service.kvTokens)
    throw new SimEngineOptionError(
      `a model length of ${maxModelLength} tokens does not fit a KV cache of ${service.kvTokens}; lower the one or raise the other`,
    );
}

function rethrow(error: unknown): never {
  throw error;
}
