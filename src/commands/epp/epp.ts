import { hostname } from 'node:os';
import { BodyBudget } from '../../openai/body-budget.ts';
import { adminApp, metricsApp, type AdminSources } from '../../observability/admin-server.ts';
import { createCarrier } from '../../epp/carrier/server.ts';
import type { Carrier } from '../../epp/carrier/carrier.ts';
import { InferenceExtensionMetrics } from '../../observability/inference-extension-metrics.ts';
import { createLog, errorText, rateLimited, type Log } from '../../observability/log.ts';
import { createMetrics } from '../../observability/metrics.ts';
import type { ReplicaReport } from '../../observability/replica-report.ts';
import { ScoreBook } from '../../observability/score-book.ts';
import { Traffic } from '../../observability/traffic.ts';
import type { Explanation } from '../../router/explanation.ts';
import { keyOf } from '../../controller/compile.ts';
import { adminToken } from '../admin-token.ts';
import { Assembly } from '../assembly.ts';
import { drainOnSignal, type Draining } from '../drain.ts';
import { explainSource } from '../explain-source.ts';
import { bodyLimits, countFlag, drainTimes, durationFlag, listenFlag, readFlags } from '../flags.ts';
import { Exit, type CommandIo } from '../io.ts';
import { learning } from '../learning.ts';
import { listen } from '../listen.ts';
import { policyReports } from '../policy-reports.ts';
import { prefixSecrets } from '../prefix-key.ts';
import { openTrails } from '../trails.ts';
import { gauges, tableTimes, tableView } from '../views.ts';
import { wallClock as clock } from '../wall-clock.ts';
import { certificateOf } from './certificate.ts';
import { addressOf, defaults, usage, type PickerFlags } from './flags.ts';
import { listenAll } from './listen-all.ts';
import { openPools } from './open-pools.ts';
import { Pools } from './pools.ts';
import { ownArguments } from './reference-flags.ts';
import { Serving } from './serving.ts';

const http = process.getBuiltinModule('node:http');

/** `hermes-router epp`. Resolves to the exit code once the picker has drained. */
export async function runEpp(argv: readonly string[], io: CommandIo): Promise<number> {
  const own = ownArguments(argv);
  const flags = readFlags(own.argv, defaults, process.env);
  if (flags.help) {
    io.out(usage);
    return Exit.fine;
  }
  const log = createLog((line) => io.out(line));
  if (own.passedOver.length > 0)
    log.info('flags of the reference picker without an effect here', { flags: own.passedOver.join(' ') });
  return serve(flags, log);
}

/** What the flags say, read before anything is opened. */
function settingsOf(flags: PickerFlags, inPod: boolean) {
  const admin = listenFlag('admin', flags.admin);
  return {
    admin,
    token: adminToken(flags, admin.host),
    health: addressOf(flags, 'health', inPod),
    metrics: addressOf(flags, 'metrics', inPod),
    drain: drainTimes(flags),
    limits: bodyLimits(flags),
    fixed: {
      deadline: durationFlag('deadline', flags.deadline),
      fallbacks: countFlag('fallbacks', flags.fallbacks),
      trustHeaders: flags['trust-headers'],
      conformance: flags.conformance,
    },
    maxScrapesPerSecond: Math.max(1, countFlag('max-scrapes-per-second', flags['max-scrapes-per-second'])),
    certificate: certificateOf(flags),
  };
}

async function serve(flags: PickerFlags, log: Log): Promise<number> {
  const inPod = process.env.KUBERNETES_SERVICE_HOST !== undefined && flags.kubeconfig === '' && flags.manifests === '';
  const settings = settingsOf(flags, inPod);
  const { limits, certificate } = settings;
  const followed = await openTrails({
    service: 'hermes-router-epp',
    accessLog: flags['access-log'],
    log,
    prefix: 'ext_proc ',
  });
  const traffic = new Traffic(() => clock.now());
  const metrics = new InferenceExtensionMetrics();
  const book = new ScoreBook<Explanation>({ now: () => clock.now(), wallTime: () => Date.now() });
  const { prefixKey, promptSecret } = await prefixSecrets(flags['prefix-key-file']);
  const { source, addresses } = await openPools(flags, { clock, log, inPod });
  const assembly = new Assembly({
    clock,
    log,
    maxScrapesPerSecond: settings.maxScrapesPerSecond,
    onTable: () => pools.tableChanged(store.current),
    discovery: source.discovery,
    tokenizers: flags.tokenizers,
    prefixKey,
    observer: book,
    // Envoy sends a request to one endpoint.
    handsOver: false,
  });
  const { store, router, states, fleet } = assembly;
  const calm = rateLimited(log, () => clock.now());
  const { trails } = followed;
  const shared = {
    ...(trails === undefined ? {} : { trails }),
    router,
    states,
    feedback: fleet,
    telemetry: traffic,
    metrics,
    clock,
    log: calm,
    bodies: new BodyBudget(limits),
    promptSecret,
  };
  const pools = new Pools({ addresses, source, fixed: settings.fixed, shared });
  source.start(assembly);
  const startedAt = clock.now();
  const whyNotReady = (): string | null => {
    if (pools.draining) return 'draining';
    return source.notReady() ?? learning(assembly, clock, startedAt);
  };
  const serving = new Serving(whyNotReady, clock);
  const report = (): ReplicaReport => ({
    replica: hostname(),
    ready: whyNotReady() === null,
    policies: policyReports(store.current, { traffic, book, generationOf: () => 0 }),
  });
  const onFault = (fault: Error): void => calm.warn('a connection of the gateway broke', { error: errorText(fault) });
  const carriers = pools.all.map(({ picker }) =>
    createCarrier({ accept: picker.accept, health: serving, tls: certificate.material, clock, onFault }),
  );
  const health = createCarrier({ accept: null, health: serving, tls: null, clock, onFault });
  certificate.follow(carriers, clock, log);
  const sources: AdminSources = {
    metrics: createMetrics(
      [...traffic.families(), ...metrics.families(() => pools.readings()), tableTimes(assembly)],
      [...gauges(assembly, pools, () => clock.now()), ...source.gauges(), ...followed.gauges],
    ),
    notReady: whyNotReady,
    table: () => tableView(store.current, assembly.snapshot, assembly.verdicts, assembly),
    stats: report,
    explain: explainSource({ store, router, book, maxBody: limits.maxBody, promptSecret }),
  };
  const small = [http.createServer(metricsApp(sources)), http.createServer(adminApp(sources, settings.token))];
  // Before anybody can know that the picker is there: a signal that comes right then drains it, too.
  const drained = drainOnSignal({
    server: asServer(carriers, settings.drain.timeout),
    frontDoor: pools,
    log,
    ...settings.drain,
    onSignal: () => serving.look(),
  });
  await listen(small[0], 'metrics', settings.metrics, log);
  await listen(small[1], 'admin', settings.admin, log);
  const flag = flags.pools === '' ? 'listen' : 'pools';
  await listenAll(
    pools.all.map(({ pool, address }, i) => {
      return { carrier: carriers[i], address, server: 'epp', flag, pool: keyOf(pool) };
    }),
    log,
  );
  await listenAll([{ carrier: health, address: settings.health, server: 'health', flag: 'health' }], log);
  await drained;
  serving.close();
  source.close();
  await health.drain(0);
  await assembly.close();
  await followed.close();
  for (const one of small) one.close().closeAllConnections();
  return Exit.fine;
}

/** Milliseconds for which a carrier waits longer than the pickers, whose calls end with a word. */
const lastWords = 1000;

/** Servers of calls as draining sees servers: what is idle they close by themselves. */
function asServer(carriers: readonly Carrier[], timeout: number): Draining {
  return {
    close: (closed: () => void) =>
      void Promise.all(carriers.map((carrier) => carrier.drain(timeout + lastWords))).then(closed),
    closeIdleConnections: () => undefined,
    closeAllConnections: () => undefined,
  };
}
