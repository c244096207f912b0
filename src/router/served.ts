import type { Backend } from './policy.ts';

export function servedByAny(backends: readonly Backend[], model: string): boolean {
  for (const backend of backends) if (servesModel(backend, model)) return true;
  return false;
}

/** Unknown models count as served: the engine knows better than we do. */
export function servesModel(backend: Backend, model: string): boolean {
  const { models } = backend.group;
  return models.length === 0 || models.includes(backend.rewriteModel ?? model);
}
