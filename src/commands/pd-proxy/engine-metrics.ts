import type { HttpProbe } from '../../datalayer/probe.ts';
import type { Connection } from '../../router/policy.ts';
import type { Member } from './members.ts';
import { mergeMetrics, type LabelledText } from './merged-metrics.ts';

/** Milliseconds for one engine's answer: whoever scrapes the leader waits for it. */
const timeout = 2000;
/** Bytes of one engine's answer. */
const maxBytes = 4 * 1024 * 1024;

/** What is asked of an engine of a group. */
export interface MetricsSource {
  readonly members: readonly Member[];
  readonly connection: Connection;
  readonly path: string;
}

/** Reads the metrics of all engines at once; those that do not answer are missing, and `hermes_pd_engine_up` says so. */
export function engineMetrics(probe: HttpProbe, source: MetricsSource, done: (text: string) => void): void {
  const { members } = source;
  const texts: LabelledText[] = [];
  let left = members.length;
  if (left === 0) done('');
  for (const member of members) {
    ask(probe, member, source, (text) => {
      texts.push(...labelled(member, text));
      left -= 1;
      if (left === 0) done(mergeMetrics(texts));
    });
  }
}

const up = `# HELP hermes_pd_engine_up Whether the engine has told its metrics.
# TYPE hermes_pd_engine_up gauge
hermes_pd_engine_up `;

function labelled({ pod, groupId, role }: Member, text: string | null): LabelledText[] {
  const labels = { pod, group_id: groupId, role };
  const own = { labels, text: `${up}${text === null ? 0 : 1}` };
  return text === null ? [own] : [own, { labels, text }];
}

function ask(
  probe: HttpProbe,
  { address }: Member,
  { connection, path }: MetricsSource,
  done: (text: string | null) => void,
): void {
  const { scheme, ca, serverName, apiKey } = connection;
  const tls = { ...(ca === undefined ? {} : { ca }), ...(serverName === undefined ? {} : { serverName }) };
  const access = {
    origin: `${scheme}://${address}`,
    tls: scheme === 'http' ? null : tls,
    authorization: apiKey === undefined ? null : `Bearer ${apiKey}`,
  };
  probe.get({ access, path, timeout, maxBytes }, (result) => done(result.ok ? result.body.toString('utf8') : null));
}
