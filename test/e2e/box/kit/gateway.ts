import { expect } from 'vitest';
import { Envoy } from '../../envoy/envoy.ts';
import type { Cluster } from '../../cluster/kit/index.ts';
import { objects } from './index.ts';

interface Pod {
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly status: { readonly podIP: string };
}

/** An engine, or the leader of a group of them. */
export interface Endpoint {
  readonly address: string;
  /** openfuyao.com/pdRole; empty without one. */
  readonly role: string;
}

/** The Pods that an InferencePool selects by this label. */
export async function endpointsOf(cluster: Cluster, namespace: string, selector: string): Promise<Endpoint[]> {
  const pods = await objects<Pod>(cluster, 'pods', namespace, selector);
  return pods.map(({ metadata, status }) => ({
    address: `${status.podIP}:8000`,
    role: metadata.labels['openfuyao.com/pdRole'] ?? '',
  }));
}

/**
 * A real Envoy on the node in place of the cluster's gateway: it asks the picker through its Service, over TLS, and knows the
 * endpoints that there are now. Only in the box, where this process reaches what pods reach.
 */
export async function gatewayBefore(
  cluster: Cluster,
  namespace: string,
  picker: string,
  endpoints: readonly Endpoint[],
): Promise<Envoy> {
  const address = await cluster.mustKubectl([
    'get',
    'service',
    picker,
    '-n',
    namespace,
    '-o',
    'jsonpath={.spec.clusterIP}',
  ]);
  const engines = endpoints.map(({ address: one }) => one);
  return Envoy.start({ picker: `${address}:9002`, engines, tls: true });
}

export interface Chat {
  readonly choices: readonly { readonly message: { readonly content: string } }[];
  readonly usage: { readonly prompt_tokens_details?: { readonly cached_tokens: number } | null };
}

/** One chat through the gateway, which has to succeed. */
export async function chatThrough(gateway: Envoy, model: string, content: string): Promise<Chat> {
  const body = JSON.stringify({ model, messages: [{ role: 'user', content }], max_tokens: 20 });
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`http://${gateway.address}/v1/chat/completions`, { method: 'POST', headers, body });
  const text = await response.text();
  expect({ status: response.status, text }).toMatchObject({ status: 200 });
  return JSON.parse(text) as Chat;
}

/** How many requests an engine has answered, by its own count. */
export async function answeredBy({ address }: Endpoint): Promise<number> {
  const text = await (await fetch(`http://${address}/metrics`)).text();
  const rows = text.matchAll(/^vllm:request_success_total\{[^}]*\} (\S+)$/gm);
  return [...rows].reduce((sum, [, value]) => sum + Number(value), 0);
}
