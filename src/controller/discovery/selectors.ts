import { matches, type Labels } from './fields.ts';

/** The label of a selector under which it is entered. */
interface Place {
  readonly selector: Labels;
  readonly key: string;
  readonly value: string;
}

/** Which groups select an object: the other way round from selecting objects, so that a change finds its groups. */
export class Selectors {
  private readonly places = new Map<string, Place>();
  /** By label key and value: selectors, each under one of its labels, by group. */
  private readonly byKey = new Map<string, Map<string, Map<string, Labels>>>();

  /** What a group selects by; null or an empty selector is nothing. */
  set(group: string, selector: Labels | null): void {
    const known = this.places.get(group);
    if (known?.selector === selector) return;
    if (known !== undefined) this.leave(group, known);
    const key = selector === null ? null : this.roomiest(selector);
    if (selector !== null && key !== null) this.enter(group, { selector, key, value: selector[key] });
  }

  /** Adds the groups that select an object with these labels. */
  collect(labels: Labels, groups: Set<string>): void {
    for (const key of Object.keys(labels)) {
      const selectors = this.byKey.get(key)?.get(labels[key]);
      if (selectors === undefined) continue;
      for (const [group, selector] of selectors) if (matches(labels, selector)) groups.add(group);
    }
  }

  /** The label that the fewest selectors are entered under, so that one which all share slows nothing. */
  private roomiest(selector: Labels): string | null {
    let best: string | null = null;
    let fewest = Infinity;
    for (const key of Object.keys(selector)) {
      const size = this.byKey.get(key)?.get(selector[key])?.size ?? 0;
      if (size >= fewest) continue;
      best = key;
      fewest = size;
    }
    return best;
  }

  private enter(group: string, place: Place): void {
    const { selector, key, value } = place;
    const byValue = this.byKey.get(key) ?? new Map<string, Map<string, Labels>>();
    const selectors = byValue.get(value) ?? new Map<string, Labels>();
    this.byKey.set(key, byValue.set(value, selectors.set(group, selector)));
    this.places.set(group, place);
  }

  private leave(group: string, { key, value }: Place): void {
    this.places.delete(group);
    const byValue = this.byKey.get(key);
    const selectors = byValue?.get(value);
    selectors?.delete(group);
    if (selectors?.size === 0) byValue?.delete(value);
    if (byValue?.size === 0) this.byKey.delete(key);
  }
}
