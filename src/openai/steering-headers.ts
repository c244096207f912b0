const prefixes = ['x-openfuyao-', 'x-prefiller-', 'x-gateway-', 'x-llm-d-', 'x-hermes-'];

/** Whether a header, named in lower case, steers engines, sidecars or gateways: never a client's to set. */
export function isSteering(name: string): boolean {
  for (const prefix of prefixes) if (name.startsWith(prefix)) return true;
  return false;
}
