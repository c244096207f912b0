import { group, policy } from '../e2e/testkit/manifests.ts';
import { ScriptedEngine } from '../e2e/testkit/engine.ts';
import { startPicker, type PickerOptions, type RunningPicker } from '../e2e/envoy/picker.ts';
import { Connection } from './grpc.ts';

/** The picker under test. */
export interface Target {
  readonly address: string;
  /** `host:port` of gRPC health; null where the picker under test has none that we know of. */
  readonly health: string | null;
  readonly tls: boolean;
  /** Its pool. */
  readonly endpoints: readonly string[];
  /** A model that its pool serves. */
  readonly model: string;
  /** Our own process; null where the suite is pointed at another picker. */
  readonly own: RunningPicker | null;
  stop(): Promise<void>;
}

const { EPP_ADDRESS, EPP_TLS, EPP_HEALTH, EPP_ENDPOINTS, EPP_MODEL } = process.env;

/** Whether the picker under test is ours, so that what only ours promises is looked at, too. */
export const ours = EPP_ADDRESS === undefined;

/** Which models the policies of our own take. */
export type Models = 'two models' | 'one model';

export async function openTarget(options: PickerOptions = {}, models: Models = 'two models'): Promise<Target> {
  return EPP_ADDRESS === undefined ? openOwn(options, models) : openOther(EPP_ADDRESS);
}

function openOther(address: string): Target {
  const endpoints = (EPP_ENDPOINTS ?? '').split(',').filter((one) => one !== '');
  if (endpoints.length < 2) throw new Error("EPP_ENDPOINTS must name the pool's endpoints, at least two: ip:port,…");
  return {
    address,
    health: EPP_HEALTH ?? null,
    tls: EPP_TLS === '1',
    endpoints,
    model: EPP_MODEL ?? 'm',
    own: null,
    stop: () => Promise.resolve(),
  };
}

/** Starts ours before three engines, with a policy for one model and, of two, another that has its name changed. */
async function openOwn(options: PickerOptions, models: Models): Promise<Target> {
  const engines = await Promise.all(Array.from({ length: 3 }, () => ScriptedEngine.start(['m'])));
  const endpoints = engines.map(({ address }) => address);
  const backendRefs = [{ name: 'g' }];
  const own = await startPicker(
    [
      group('g', endpoints, { models: ['m'] }),
      policy('m', { backendRefs }),
      ...(models === 'two models' ? [policy('asked', { backendRefs: [{ name: 'g', rewriteModel: 'm' }] })] : []),
    ],
    options,
  );
  const stop = async (): Promise<void> => {
    await own.stop();
    await Promise.all(engines.map((engine) => engine.close()));
  };
  return {
    address: own.grpc,
    health: own.health,
    tls: options.tls ?? false,
    endpoints,
    model: 'm',
    own,
    stop,
  };
}

export function connectTo({ address, tls }: Target): Promise<Connection> {
  return Connection.open(address, tls);
}
