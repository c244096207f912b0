import { hostname } from 'node:os';
import { UpstreamProbe } from '../upstream-probe.ts';
import { adminApp, metricsApp, type AdminSources } from '../../observability/admin-server.ts';
import { createLog, type Log } from '../../observability/log.ts';
import { createMetrics } from '../../observability/metrics.ts';
import type { ReplicaReport } from '../../observability/replica-report.ts';
import { ScoreBook } from '../../observability/score-book.ts';
import { Traffic } from '../../observability/traffic.ts';
import { FrontDoor } from '../../proxy/front-door.ts';
import { createProxyServer } from '../../proxy/server.ts';
import { SocketClient } from '../../proxy/upstream/socket-client.ts';
import type { Explanation } from '../../router/explanation.ts';
import { adminToken } from '../admin-token.ts';
import { Assembly } from '../assembly.ts';
import { drainOnSignal } from '../drain.ts';
import { explainSource } from '../explain-source.ts';
import { bodyLimits, countFlag, drainTimes, listenFlag, readFlags, type ListenAddress } from '../flags.ts';
import { Exit, type CommandIo } from '../io.ts';
import { learning } from '../learning.ts';
import { listen } from '../listen.ts';
import { policyReports } from '../policy-reports.ts';
import { prefixSecrets } from '../prefix-key.ts';
import { openTrails } from '../trails.ts';
import { gauges, tableTimes, tableView } from '../views.ts';
import { wallClock as clock } from '../wall-clock.ts';
import { defaults, usage, usualPorts, type LeaderFlags } from './flags.ts';
import { openLeader } from './open-leader.ts';
import { leaderPages } from './pages.ts';

const http = process.getBuiltinModule('node:http');

/** `hermes-router pd-proxy`. Resolves to the exit code once the leader has drained. */
export async function runPdProxy(argv: readonly string[], io: CommandIo): Promise<number> {
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

async function serve(flags: LeaderFlags, log: Log): Promise<number> {
  const addresses = {
    listen: addressOf(flags, 'listen'),
    metrics: addressOf(flags, 'metrics'),
    admin: listenFlag('admin', flags.admin),
  };
  const drain = drainTimes(flags);
  const limits = bodyLimits(flags);
  const maxConnections = countFlag('max-connections', flags['max-connections']);
  const token = adminToken(flags, addresses.admin.host);
  const followed = await openTrails({ service: 'hermes-router-pd-proxy', accessLog: flags['access-log'], log });
  const traffic = new Traffic(() => clock.now());
  const book = new ScoreBook<Explanation>({ now: () => clock.now(), wallTime: () => Date.now() });
  const { promptSecret } = await prefixSecrets('');
  const source = await openLeader(flags, { clock, log });
  const assembly = new Assembly({
    clock,
    log,
    maxScrapesPerSecond: Math.max(1, countFlag('max-scrapes-per-second', flags['max-scrapes-per-second'])),
    onTable: () => frontDoor.tableChanged(),
    discovery: source.discovery,
    observer: book,
  });
  const { store, router, states, fleet } = assembly;
  const probe = new UpstreamProbe(clock);
  const metricsPath = (): string => assembly.snapshot.groups[0]?.spec.metrics.path ?? '/metrics';
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
    upstream: new SocketClient(clock),
    pairs: 'FromHeaders',
    pages: leaderPages({ store, states, probe, metricsPath }),
  });
  const server = createProxyServer({ clock, maxConnections }, (request, response) =>
    frontDoor.handle(request, response),
  );
  source.start(assembly);
  const startedAt = clock.now();
  const whyNotReady = (): string | null =>
    frontDoor.draining ? 'draining' : (source.notReady() ?? learning(assembly, clock, startedAt));
  const report = (): ReplicaReport => ({
    replica: hostname(),
    ready: whyNotReady() === null,
    policies: policyReports(store.current, { traffic, book, generationOf: () => 0 }),
  });
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
  // Before anybody can know that the leader is there: a signal that comes right then drains it, too.
  const drained = drainOnSignal({ server, frontDoor, log, ...drain, onSignal: () => undefined });
  await listen(small[0], 'metrics', addresses.metrics, log);
  await listen(small[1], 'admin', addresses.admin, log);
  await listen(server, 'pd-proxy', addresses.listen, log);
  await drained;
  source.close();
  probe.close();
  await assembly.close();
  await followed.close();
  for (const one of small) one.close().closeAllConnections();
  return Exit.fine;
}

/** The address of a flag; by default the usual port, on loopback, in a pod on every address. Throws UsageError. */
function addressOf(flags: LeaderFlags, name: keyof typeof usualPorts): ListenAddress {
  if (flags[name] !== '') return listenFlag(name, flags[name]);
  const inPod = process.env.KUBERNETES_SERVICE_HOST !== undefined && flags.kubeconfig === '' && flags.manifests === '';
  return { host: inPod ? '0.0.0.0' : '127.0.0.1', port: usualPorts[name] };
}
