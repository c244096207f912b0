import type { HttpKubeClient } from '../../controller/kube/http-client.ts';
import type { LeaderElection } from '../../controller/kube/leader-election.ts';
import type { Peers } from '../../controller/peers/peers.ts';
import type { RevisionWriter } from '../../controller/revisions/revision-writer.ts';
import type { StatusWriter } from '../../controller/status/status-writer.ts';
import type { GaugeSource } from '../../observability/metrics.ts';
import type { Reporter } from './reporter.ts';

export interface ClusterParts {
  readonly client: HttpKubeClient;
  readonly election: LeaderElection;
  readonly writer: StatusWriter;
  readonly revisions: RevisionWriter;
  readonly peers: Peers;
  readonly reporter: Reporter;
}

const byResult = (results: ReadonlyMap<string, number>) => () =>
  [...results].map(([result, value]) => ({ labels: { result }, value }));

/** Numbers of the operator's loop. */
export function clusterGauges({ client, election, writer, revisions, peers, reporter }: ClusterParts): GaugeSource[] {
  return [
    {
      name: 'hermes_leader',
      help: '1 while this replica writes the status.',
      read: () => [{ value: election.leading ? 1 : 0 }],
    },
    {
      name: 'hermes_kube_requests_total',
      help: 'Calls to the API server, by verb and status.',
      read: () =>
        [...client.requests.values()].map(({ verb, status, count }) => ({ labels: { verb, status }, value: count })),
    },
    { name: 'hermes_status_writes_total', help: 'Writes of status, by result.', read: byResult(writer.results) },
    {
      name: 'hermes_status_writes_waiting',
      help: 'Objects whose status waits to be written.',
      read: () => [{ value: writer.waiting }],
    },
    {
      name: 'hermes_revision_writes_total',
      help: 'Writes of last good versions, by result.',
      read: byResult(revisions.results),
    },
    { name: 'hermes_peer_calls_total', help: 'Calls of other replicas, by result.', read: byResult(peers.results) },
    {
      name: 'hermes_event_failures_total',
      help: 'Kubernetes Events that were lost.',
      read: () => [{ value: reporter.failures }],
    },
  ];
}
