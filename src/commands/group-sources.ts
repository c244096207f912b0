import type { GroupSurroundings } from '../controller/compile.ts';
import type { Secrets } from '../controller/secrets.ts';
import type { Endpoint } from '../router/endpoint.ts';
import type { Connection } from '../router/policy.ts';

/** What a group's sources are made of besides its resource. */
export interface GroupAround {
  readonly connection: Connection;
  readonly endpoints: readonly Endpoint[];
  readonly secrets: Secrets;
}

/** How a group knows what its engines have cached. */
export type GroupSources = Pick<GroupSurroundings, 'prefixSource' | 'managerLookup' | 'tokenLookup'>;
