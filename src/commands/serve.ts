import { adminApp, metricsApp, type AdminSources } from '../observability/admin-server.ts';
import { createLog, type Log } from '../observability/log.ts';
import { createMetrics } from '../observability/metrics.ts';
import type { ReplicaReport } from '../observability/replica-report.ts';
import { ScoreBook } from '../observability/score-book.ts';
import { Traffic } from '../observability/traffic.ts';
import { FrontDoor } from '../proxy/front-door.ts';
import { createProxyServer, renewCertificate } from '../proxy/server.ts';
import { SocketClient } from '../proxy/upstream/socket-client.ts';
import type { UpstreamClient } from '../proxy/upstream/client.ts';
import type { Explanation } from '../router/explanation.ts';
import { adminToken } from './admin-token.ts';
import { Assembly } from './assembly.ts';
import { drainOnSignal } from './drain.ts';
import { bodyLimits, countFlag, drainTimes, listenFlag, readFlags } from './flags.ts';
import { Exit, UsageError, type CommandIo } from './io.ts';
import { learning } from './learning.ts';
import { followTls, listen, readTls } from './listen.ts';
import { openSource, replicaName } from './open-source.ts';
import { explainSource } from './explain-source.ts';
import { prefixSecrets } from './prefix-key.ts';
import { policyReports } from './policy-reports.ts';
import { serveDefaults, serveUsage, type ServeFlags } from './serve-flags.ts';
import { openTrails } from './trails.ts';
import { gauges, tableTimes, tableView } from './views.ts';
import { wallClock as clock } from './wall-clock.ts';

const http = process.getBuiltinModule('node:http');

/** `hermes-router serve`. Resolves to the exit code once the router has drained. */
export async function runServe(argv: readonly string[], io: CommandIo): Promise<number> {
  const flags = readFlags(argv, serveDefaults, process.env);
  if (flags.help) {
    io.out(serveUsage);
    return Exit.fine;
  }
  return serve(
    flags,
    createLog((line) => io.out(line)),
  );
}

async function serve(flags: ServeFlags, log: Log): Promise<number> {
  const addresses = {
    proxy: listenFlag('listen', flags.listen),
    admin: listenFlag('admin', flags.admin),
    metrics: listenFlag('metrics', flags.metrics),
  };
  const drain = drainTimes(flags);
  const limits = bodyLimits(flags);
  const token = adminToken(flags, addresses.admin.host);
  const followed = await openTrails({ service: 'hermes-router', accessLog: flags['access-log'], log });
  const traffic = new Traffic(() => clock.now());
  const book = new ScoreBook<Explanation>({ now: () => clock.now(), wallTime: () => Date.now() });
  const report = (): ReplicaReport => ({
    replica: replicaName(flags),
    ready: whyNotReady() === null,
    policies: policyReports(store.current, { traffic, book, generationOf: (policy) => source.generationOf(policy) }),
  });
  const { prefixKey, promptSecret } = await prefixSecrets(flags['prefix-key-file']);
  const source = await openSource(flags, { clock, log, token: () => token, report });
  const assembly = new Assembly({
    clock,
    log,
    maxScrapesPerSecond: Math.max(1, countFlag('max-scrapes-per-second', flags['max-scrapes-per-second'])),
    onTable: () => {
      frontDoor.tableChanged();
      source.tableChanged(assembly);
    },
    discovery: source.discovery,
    tokenizers: flags.tokenizers,
    prefixKey,
    observer: book,
    onGroupChange: (key) => source.groupChanged(key),
    onFleetEvent: (event) => source.fleetEvent(event),
  });
  const { store, router, fleet } = assembly;
  const { trails } = followed;
  const frontDoor = new FrontDoor({
    ...(trails === undefined ? {} : { trails }),
    store,
    router,
    feedback: fleet,
    telemetry: traffic,
    clock,
    log,
    limits,
    promptSecret,
    upstream: await upstreamClient(flags),
  });
  const tls = tlsFiles(flags);
  const server = createProxyServer(
    {
      clock,
      maxConnections: countFlag('max-connections', flags['max-connections']),
      ...(tls === null ? {} : { tls: readTls(tls.cert, tls.key) }),
    },
    (request, response) => frontDoor.handle(request, response),
  );
  if (tls !== null) followTls(tls, clock, log, (material) => renewCertificate(server, material));
  source.start(assembly);
  const startedAt = clock.now();
  const whyNotReady = (): string | null =>
    frontDoor.draining ? 'draining' : (source.notReady() ?? learning(assembly, clock, startedAt));
  const sources: AdminSources = {
    metrics: createMetrics(
      [...traffic.families(), tableTimes(assembly)],
      [...gauges(assembly, frontDoor, () => clock.now()), ...source.gauges(), ...followed.gauges],
    ),
    notReady: whyNotReady,
    table: () => tableView(store.current, assembly.snapshot, assembly.verdicts, assembly),
    stats: report,
    explain: explainSource({ store, router, book, maxBody: limits.maxBody, promptSecret }),
  };
  const small = [http.createServer(metricsApp(sources)), http.createServer(adminApp(sources, token))];
  // Before anybody can know that the router is there: a signal that comes right then drains it, too.
  const drained = drainOnSignal({ server, frontDoor, log, ...drain, onSignal: () => void source.resign() });
  await listen(small[0], 'metrics', addresses.metrics, log);
  await listen(small[1], 'admin', addresses.admin, log);
  await listen(server, 'proxy', addresses.proxy, log);
  await drained;
  source.close();
  await assembly.close();
  await followed.close();
  for (const one of small) one.close().closeAllConnections();
  return Exit.fine;
}

async function upstreamClient(flags: ServeFlags): Promise<UpstreamClient> {
  const name = flags['upstream-client'];
  if (name === 'socket') return new SocketClient(clock);
  // Loaded only when asked for: the library takes 25 MB.
  if (name === 'undici') return new (await import('../proxy/upstream/undici-client.ts')).UndiciClient(clock);
  throw new UsageError(`--upstream-client ${name}: write socket or undici`);
}

function tlsFiles(flags: ServeFlags): { cert: string; key: string } | null {
  const cert = flags['tls-cert'];
  const key = flags['tls-key'];
  if (cert === '' && key === '') return null;
  if (cert === '' || key === '') throw new UsageError('--tls-cert and --tls-key go together');
  return { cert, key };
}
