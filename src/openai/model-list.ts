import { RoutingError } from '../router/errors.ts';
import type { RoutingTable } from '../router/table.ts';

interface ModelObject {
  readonly id: string;
  readonly object: 'model';
  readonly created: number;
  readonly owned_by: string;
}

/** Seconds since 1970; OpenAI's clients want a number there, and a model has no age in a router. */
const created = 0;

function modelObject(id: string): ModelObject {
  return { id, object: 'model', created, owned_by: 'hermes-router' };
}

/** OpenAI's list of every model that some policy can route to, with or without a ready endpoint. */
export function modelList(table: RoutingTable): string {
  return JSON.stringify({ object: 'list', data: table.models.map(modelObject) });
}

/** One model of that list. Throws RoutingError `model_not_found`. */
export function modelById(table: RoutingTable, id: string): string {
  if (!table.models.includes(id)) throw unknownModel(table, id);
  return JSON.stringify(modelObject(id));
}

export function unknownModel(table: RoutingTable, model: string): RoutingError {
  const known =
    table.models.length === 0
      ? 'no model is served yet'
      : `served are ${table.models.slice(0, 8).join(', ')}${table.models.length > 8 ? ', …' : ''}`;
  return new RoutingError('model_not_found', `The model \`${model.slice(0, 256)}\` does not exist; ${known}`, {
    source: 'client',
    param: 'model',
  });
}
