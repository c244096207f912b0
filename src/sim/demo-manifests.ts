/** The resources that a demo router is started with, as YAML: one group of fixed engines, one policy. */
export function demoManifests(strategy: string, addresses: readonly string[], options: ManifestOptions): string {
  const endpoints = addresses.map((address, i) => `        - {name: engine-${i + 1}, address: "${address}"}`);
  return `apiVersion: hermes-router.io/v1alpha1
kind: BackendGroup
metadata: {name: engines}
spec:
  models: [${options.model}]
  discovery:
    type: Static
    static:
      endpoints:
${endpoints.join('\n')}
  metrics: {interval: ${options.scrapeMilliseconds}ms, timeout: 1s}
---
apiVersion: hermes-router.io/v1alpha1
kind: RoutingPolicy
metadata: {name: demo}
spec:
  match: {models: [${options.model}]}
  backendRefs: [{name: engines}]
  strategy: {type: ${strategy}}
`;
}

export interface ManifestOptions {
  readonly model: string;
  /** Wall milliseconds between scrapes of an engine. */
  readonly scrapeMilliseconds: number;
}
