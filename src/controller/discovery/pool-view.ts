import { fieldsOf, labelsOf, listOf, portOf, sameList, sameMap, type Labels } from './fields.ts';
import { placeOf, type ObjectView } from './object-view.ts';

/** Ports of an InferencePool, as its schema limits them. */
const maxPorts = 8;

/** What discovery keeps of an InferencePool (`inference.networking.k8s.io/v1`). */
export interface PoolView extends ObjectView {
  /** Labels that its Pods have; empty selects none. */
  readonly selector: Labels;
  /** In ascending order. */
  readonly targetPorts: readonly number[];
}

/** Trims an InferencePool; null for what is none. Never throws. */
export function keepInferencePool(object: unknown): PoolView | null {
  const place = placeOf(object);
  if (place === null) return null;
  const { namespace, name } = place;
  const { selector, targetPorts } = fieldsOf(fieldsOf(object).spec);
  const numbers = listOf(targetPorts).map(({ number }) => portOf(number));
  return {
    namespace,
    name,
    selector: labelsOf(fieldsOf(selector).matchLabels),
    targetPorts: [...new Set(numbers.filter((number) => number > 0))].slice(0, maxPorts).sort((a, b) => a - b),
  };
}

/** Whether two versions of an InferencePool are one to discovery. */
export function samePool(previous: PoolView, next: PoolView): boolean {
  return sameMap(previous.selector, next.selector) && sameList(previous.targetPorts, next.targetPorts, Object.is);
}
