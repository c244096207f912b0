import manifest from '../../../../package.json' with { type: 'json' };

/** What charts and config/ run. */
export const image = `hermes-router:${manifest.version}`;

const podSecurity = { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } };
const containerSecurity = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
};

interface Container {
  readonly args?: readonly string[];
  readonly command?: readonly string[];
  readonly [field: string]: unknown;
}

/** The specification of a pod of the project's image that the strictest pod security takes. */
export function podSpec(container: Container, more: Readonly<Record<string, unknown>> = {}): object {
  return {
    automountServiceAccountToken: false,
    securityContext: podSecurity,
    containers: [{ name: 'main', image, securityContext: containerSecurity, ...container }],
    ...more,
  };
}

interface Engines {
  readonly name: string;
  readonly replicas: number;
  readonly model: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

/**
 * A Deployment of simulated engines. As a real one, an engine that is told to end drops what it computes: it is told only
 * when the routers have known for some seconds that it goes.
 */
export function engines({ name, replicas, model, labels, args = [] }: Engines): object {
  const all = { ...labels, engines: name };
  const container = {
    args: ['sim-engine', '--listen=0.0.0.0:8000', `--model=${model}`, ...args],
    ports: [{ name: 'http', containerPort: 8000 }],
    readinessProbe: { httpGet: { path: '/health', port: 'http' }, periodSeconds: 1 },
    lifecycle: { preStop: { sleep: { seconds: 8 } } },
    resources: { requests: { cpu: '20m', memory: '64Mi' } },
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: { engines: name } },
      strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: { metadata: { labels: all }, spec: podSpec(container) },
    },
  };
}

/** A list of objects as kubectl takes it. */
export const list = (...items: readonly object[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
