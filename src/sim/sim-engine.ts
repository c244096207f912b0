import { exitCode, stopped, UsageError, type CommandIo } from './command-io.ts';
import { engineHelp, parseEngineFlags } from './engine-flags.ts';
import { SimEngineOptionError, startSimEngine, type SimEngine, type SimEngineOptions } from './server.ts';

/** `hermes-router sim-engine`: serves until told to stop; exit code 2 for a wrong command line, 3 for a port in use. */
export async function runSimEngine(argv: readonly string[], io: CommandIo): Promise<number> {
  try {
    const { help, engines } = parseEngineFlags(argv);
    if (help) {
      io.out(engineHelp);
      return exitCode.fine;
    }
    return await serve(engines, io);
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof SimEngineOptionError)) throw error;
    io.err(`sim-engine: ${error.message}; see hermes-router sim-engine --help`);
    return exitCode.usage;
  }
}

async function serve(options: readonly SimEngineOptions[], io: CommandIo): Promise<number> {
  const engines: SimEngine[] = [];
  const death = new AbortController();
  let alive = options.length;
  const onDeath = (): void => {
    alive -= 1;
    if (alive === 0) death.abort();
  };
  const onError = (error: unknown): void => {
    io.err(JSON.stringify({ level: 'error', msg: 'engine fault', error: String(error) }));
  };
  try {
    for (const option of options) engines.push(await startSimEngine({ ...option, onDeath, onError }));
  } catch (error) {
    await closeAll(engines);
    if (!isAddressFault(error)) throw error;
    io.err(`sim-engine: cannot listen: ${error.message}; choose another address`);
    return exitCode.outside;
  }
  for (const engine of engines) io.out(listeningLine(engine));
  await stopped({ ...io, stop: AbortSignal.any(io.stop === undefined ? [death.signal] : [death.signal, io.stop]) });
  if (death.signal.aborted) return exitCode.outside;
  await closeAll(engines);
  return exitCode.fine;
}

function listeningLine({ address, kvEvents, sideChannel }: SimEngine): string {
  const events = kvEvents === null ? {} : { kvEvents: kvEvents.events, kvReplay: kvEvents.replay };
  const side = sideChannel === null ? {} : { sideChannel };
  return JSON.stringify({ level: 'info', msg: 'listening', server: 'sim-engine', address, ...events, ...side });
}

async function closeAll(engines: readonly SimEngine[]): Promise<void> {
  await Promise.all(engines.map((engine) => engine.close()));
}

/** An address that is taken, forbidden or not this machine's, on HTTP or ZMQ. */
function isAddressFault(error: unknown): error is Error {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return ['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL', 'ENOTFOUND', 'EINVAL'].includes(String(error.code));
}
