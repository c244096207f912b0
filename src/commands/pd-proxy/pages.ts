import type { HttpProbe } from '../../datalayer/probe.ts';
import type { PageHandler } from '../../proxy/page.ts';
import type { TableStore } from '../../router/table.ts';
import type { EndpointStates } from '../../router/states.ts';
import { engineMetrics } from './engine-metrics.ts';
import { healthOf, membersOf, type Member } from './members.ts';

/** What a leader shows of its group besides what it serves. */
export interface GroupSource {
  readonly store: TableStore;
  readonly states: EndpointStates;
  readonly probe: HttpProbe;
  /** Path of the engines' metrics. */
  readonly metricsPath: () => string;
}

const json = 'application/json';

/** The pages of a leader by path. */
export function leaderPages(source: GroupSource): ReadonlyMap<string, PageHandler> {
  const members = (): Member[] => membersOf(source.store.current, source.states);
  return new Map<string, PageHandler>([
    [
      '/health',
      (answer) => {
        const { whole, ...counts } = healthOf(members());
        const status = whole ? 200 : 500;
        answer({ status, contentType: json, body: JSON.stringify({ status: whole ? 'ok' : 'not ready', ...counts }) });
      },
    ],
    [
      '/listEndPoints',
      (answer) => {
        const all = members();
        const of = (role: Member['role']) => all.filter((member) => member.role === role).map(shown);
        answer({
          status: 200,
          contentType: json,
          body: JSON.stringify({ prefill: of('prefill'), decode: of('decode') }),
        });
      },
    ],
    [
      '/metrics',
      (answer) => {
        const [group] = source.store.current.groups.values();
        const contentType = 'text/plain; version=0.0.4; charset=utf-8';
        if (group === undefined) {
          answer({ status: 200, contentType, body: '' });
          return;
        }
        const { connection } = group;
        engineMetrics(source.probe, { members: members(), connection, path: source.metricsPath() }, (body) =>
          answer({ status: 200, contentType, body }),
        );
      },
    ],
  ]);
}

const shown = ({ pod, address, groupId, ready }: Member) => ({ pod, address, group_id: groupId, ready });
