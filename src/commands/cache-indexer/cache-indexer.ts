import { createLog, type Log } from '../../observability/log.ts';
import { createMetrics } from '../../observability/metrics.ts';
import { drainOnSignal } from '../drain.ts';
import { countFlag, drainTimes, listenFlag, readFlags, type ListenAddress } from '../flags.ts';
import { Exit, type CommandIo } from '../io.ts';
import { listen } from '../listen.ts';
import { wallClock as clock } from '../wall-clock.ts';
import { BearerToken } from './bearer-token.ts';
import { IndexerDoor } from './door.ts';
import { defaults, usage, usualHost, usualPort, type IndexerFlags } from './flags.ts';
import { Indexer } from './indexer.ts';
import { openGroups } from './open-groups.ts';
import { ReadinessLatch } from './readiness.ts';
import { indexerServer } from './server.ts';
import { QuestionTelemetry } from './telemetry.ts';

/** `hermes-router cache-indexer`. Resolves to the exit code once the server has drained. */
export async function runCacheIndexer(argv: readonly string[], io: CommandIo): Promise<number> {
  const flags = readFlags(argv, defaults, process.env);
  if (flags.help) {
    io.out(usage);
    return Exit.fine;
  }
  return serve(
    flags,
    createLog((line) => io.out(line)),
  );
}

async function serve(flags: IndexerFlags, log: Log): Promise<number> {
  const address = flags.listen === '' ? null : listenFlag('listen', flags.listen);
  const maxConnections = countFlag('max-connections', flags['max-connections']);
  const drain = drainTimes(flags);
  const token = flags['token-file'] === '' ? null : new BearerToken(flags['token-file']);
  token?.follow(clock, log);
  const { source, port } = await openGroups(flags, { clock, log });
  const indexer = new Indexer({ discovery: source.discovery, clock, log });
  const telemetry = new QuestionTelemetry();
  const latch = new ReadinessLatch();
  const door = new IndexerDoor({
    knowledge: indexer.knowledge,
    token,
    telemetry,
    readiness: () => latch.look(source.notReady(), indexer.states(), indexer.engines.troubles),
    metrics: createMetrics(telemetry.families(), [...indexer.gauges(), ...source.gauges()]),
    clock,
    log,
  });
  const server = indexerServer(door, clock, maxConnections);
  source.start(indexer.engines);
  // Before anybody can know that the server is there: a signal that comes right then drains it, too.
  const drained = drainOnSignal({ server, frontDoor: door, log, ...drain, onSignal: () => undefined });
  await listen(server, 'cache-indexer', address ?? usualAddress(flags, port()), log);
  await drained;
  source.close();
  token?.close();
  await indexer.close();
  return Exit.fine;
}

/** A configuration is for a server behind a Service: it listens on every address. */
function usualAddress(flags: IndexerFlags, port: number | null): ListenAddress {
  return flags.config === '' ? { host: usualHost, port: usualPort } : { host: '0.0.0.0', port: port ?? usualPort };
}
