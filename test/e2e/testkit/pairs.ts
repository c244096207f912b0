import { group, type Document } from './manifests.ts';

/** A member of a group of pairs. */
export interface PairMember {
  readonly name: string;
  readonly address: string;
  readonly role: 'prefill' | 'decode' | 'leader';
  /** Id of the group. */
  readonly group: string;
  readonly tpSize?: number;
}

/** A BackendGroup of pairs at fixed addresses. */
export function pairedGroup(
  name: string,
  members: readonly PairMember[],
  prefillDecode: Document = {},
  spec: Document = {},
) {
  const endpoints = members.map(({ name, address, role, group: id, tpSize = 1 }) => ({
    name,
    address,
    labels: { 'openfuyao.com/pdRole': role, 'openfuyao.com/pdGroupID': id, 'openfuyao.com/tpSize': String(tpSize) },
  }));
  return group(name, [], {
    models: [name],
    discovery: { type: 'Static', static: { endpoints } },
    topology: { type: 'PrefillDecode', prefillDecode: { handover: 'Router', ...prefillDecode } },
    ...spec,
  });
}
