import type { Endpoint } from '../router/endpoint.ts';
import type { Connection } from '../router/policy.ts';
import type { RoutingTable } from '../router/table.ts';
import type { UpstreamTarget } from './upstream/client.ts';

interface Known {
  readonly connection: Connection;
  readonly target: UpstreamTarget;
}

/** Upstream targets of endpoints: the same object while nothing about the connection changes, since pools hang on it. */
export class Targets {
  private readonly known = new WeakMap<Endpoint, Known>();

  of(endpoint: Endpoint, connection: Connection): UpstreamTarget {
    const known = this.known.get(endpoint);
    if (known?.connection === connection) return known.target;
    const target =
      known !== undefined && alike(known.connection, connection) ? known.target : makeTarget(endpoint, connection);
    this.known.set(endpoint, { connection, target });
    return target;
  }

  /** Every target that a table can lead to. */
  inTable(table: RoutingTable): Set<UpstreamTarget> {
    const live = new Set<UpstreamTarget>();
    for (const group of table.groups.values()) {
      for (const endpoint of group.endpoints) live.add(this.of(endpoint, group.connection));
    }
    return live;
  }
}

function alike(a: Connection, b: Connection): boolean {
  return a.scheme === b.scheme && a.ca === b.ca && a.serverName === b.serverName;
}

function makeTarget(endpoint: Endpoint, connection: Connection): UpstreamTarget {
  const colon = endpoint.address.lastIndexOf(':');
  const host = endpoint.address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const port = Number(endpoint.address.slice(colon + 1));
  if (connection.scheme === 'http') return { host, port };
  const { ca, serverName } = connection;
  return {
    host,
    port,
    tls: { ...(ca === undefined ? {} : { ca }), ...(serverName === undefined ? {} : { serverName }) },
  };
}
