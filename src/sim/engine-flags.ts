import { parseArgs } from 'node:util';
import { UsageError } from './command-io.ts';
import { FaultError, parseFaultFlag, type Fault } from './faults.ts';
import type { SimEngineOptions } from './server.ts';
import { defaultServiceModel, type ServiceModel } from './service-model.ts';

export const engineHelp = `Usage: hermes-router sim-engine [flags]

A simulated vLLM: OpenAI API, /metrics, KV events, continuous batching, a finite prefix cache, failures on demand.

  --listen HOST:PORT       where to serve (default 127.0.0.1:9001; port 0 picks one); repeated: one engine each
  --model NAME             model name (default sim-model); repeated: further names of it
  --lora NAME              a LoRA adapter of it; may be repeated
  --speed-up N             engine seconds in one second of wall time (default 1)
  --kv-tokens N            size of the KV cache in tokens (default 524288)
  --block-size N           tokens in a block (default 16)
  --max-running N          requests in the batch at most (default 256)
  --prefill-rate N         prompt tokens computed a second (default 8000)
  --chunk N                tokens that one step computes at most (default 2048)
  --itl-base MS            inter-token time of an empty batch (default 6)
  --itl-per-request MS     what each running request adds to it (default 0.35)
  --max-model-len N        tokens of prompt and output together (default 131072)
  --data-parallel N        ranks with a KV cache each; rank r publishes on the ports + r (default 1)
  --kv-events ENDPOINT     publish KV events, as in tcp://127.0.0.1:5557 (port 0 picks one)
  --kv-replay ENDPOINT     replay them, as in tcp://127.0.0.1:5558
  --fault FAULT            start with a fault: hang, slow, error, unavailable, cut, garbage, lose-events, or JSON as for
                           POST /sim/fault, which also takes die, refuse, restart-events (KV events anew from 0)
  --api-key KEY            refuse /v1/… without this bearer token
  --help                   this text`;

/** What a command line asks for: one entry for each engine. */
export interface EngineCommand {
  readonly help: boolean;
  readonly engines: readonly SimEngineOptions[];
}

/** Reads a command line; throws UsageError. */
export function parseEngineFlags(argv: readonly string[]): EngineCommand {
  const flags = readFlags(argv);
  const listen = flags.listen ?? ['127.0.0.1:9001'];
  const shared = sharedOptions(flags);
  if (listen.length > 1 && shared.kvEvents && !/:0$/.test(shared.kvEvents.events))
    throw new UsageError('several engines cannot share one --kv-events endpoint: give port 0');
  return { help: flags.help === true, engines: listen.map((address) => ({ ...shared, ...parseAddress(address) })) };
}

type Flags = ReturnType<typeof readFlags>;

function readFlags(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  const many = { type: 'string', multiple: true } as const;
  const options = {
    listen: many,
    model: many,
    lora: many,
    'speed-up': text,
    'kv-tokens': text,
    'block-size': text,
    'max-running': text,
    'prefill-rate': text,
    chunk: text,
    'itl-base': text,
    'itl-per-request': text,
    'max-model-len': text,
    'data-parallel': text,
    'kv-events': text,
    'kv-replay': text,
    fault: text,
    'api-key': text,
    help: { type: 'boolean' },
  } as const;
  try {
    return parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function sharedOptions(flags: Flags): SimEngineOptions {
  if (flags['kv-replay'] !== undefined && flags['kv-events'] === undefined)
    throw new UsageError('--kv-replay needs --kv-events');
  const events = flags['kv-events'];
  const maxModelLength = flags['max-model-len'];
  return {
    models: flags.model ?? ['sim-model'],
    adapters: flags.lora ?? [],
    service: serviceModel(flags),
    speedUp: positive('--speed-up', flags['speed-up'], 1),
    ranks: whole('--data-parallel', flags['data-parallel'], 1),
    kvEvents: events === undefined ? null : { events, replay: flags['kv-replay'] ?? null },
    apiKey: flags['api-key'] ?? null,
    ...(maxModelLength === undefined ? {} : { maxModelLength: whole('--max-model-len', maxModelLength, 1) }),
    ...(flags.fault === undefined ? {} : { fault: startFault(flags.fault) }),
  };
}

function serviceModel(flags: Flags): ServiceModel {
  const usual = defaultServiceModel;
  return {
    kvTokens: whole('--kv-tokens', flags['kv-tokens'], usual.kvTokens),
    blockSize: whole('--block-size', flags['block-size'], usual.blockSize),
    maxRunning: whole('--max-running', flags['max-running'], usual.maxRunning),
    prefillRate: positive('--prefill-rate', flags['prefill-rate'], usual.prefillRate),
    chunkTokens: whole('--chunk', flags.chunk, usual.chunkTokens),
    interTokenBase: positive('--itl-base', flags['itl-base'], usual.interTokenBase * 1000) / 1000,
    interTokenPerRequest:
      positive('--itl-per-request', flags['itl-per-request'], usual.interTokenPerRequest * 1000) / 1000,
  };
}

function positive(flag: string, text: string | undefined, usual: number): number {
  if (text === undefined) return usual;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
    throw new UsageError(`${flag} must be a number above 0, not "${text}"`);
  return value;
}

function whole(flag: string, text: string | undefined, usual: number): number {
  const value = positive(flag, text, usual);
  if (!Number.isSafeInteger(value)) throw new UsageError(`${flag} must be a whole number, not "${text}"`);
  return value;
}

function startFault(text: string): Fault {
  try {
    const fault = parseFaultFlag(text);
    if (fault.type === 'die' || fault.type === 'refuse' || fault.type === 'restart-events')
      throw new UsageError(`--fault ${fault.type} strikes at once: send it to /sim/fault of a running engine`);
    return fault;
  } catch (error) {
    if (error instanceof FaultError) throw new UsageError(`--fault: ${error.message}`);
    throw error;
  }
}

/** `host:port`, `[v6]:port`. */
function parseAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new UsageError(`--listen must be HOST:PORT, not "${text}"`);
  return { host: match[1] ?? match[2], port };
}
