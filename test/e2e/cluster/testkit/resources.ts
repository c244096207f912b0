/** A BackendGroup of engines at fixed addresses, scraped often so that tests need not wait. */
export const staticGroup = (name: string, addresses: readonly string[], spec = 'models: [m]'): string => `
apiVersion: hermes-router.io/v1alpha1
kind: BackendGroup
metadata: {name: ${name}}
spec:
  ${spec}
  metrics: {interval: 200ms}
  health: {interval: 500ms, failures: 1}
  discovery:
    type: Static
    static: {endpoints: [${addresses.map((address, i) => `{name: e${i}, address: "${address}"}`).join(', ')}]}
`;

/** A BackendGroup with a discovery of its own. */
export const discoveredGroup = (name: string, discovery: string): string => `
apiVersion: hermes-router.io/v1alpha1
kind: BackendGroup
metadata: {name: ${name}}
spec:
  models: [m]
  metrics: {interval: 200ms}
  health: {interval: 500ms, failures: 1}
  discovery: ${discovery}
`;

export const policy = (name: string, spec = '{backendRefs: [{name: g}]}'): string => `
apiVersion: hermes-router.io/v1alpha1
kind: RoutingPolicy
metadata: {name: ${name}}
spec: ${spec}
`;
