import { matches, type Labels } from './fields.ts';

/** What can be found by its name and its labels. */
export interface Labelled {
  readonly name: string;
  readonly labels: Labels;
}

/**
 * Objects of one kind and namespace by name and by label. Only the label keys that somebody has selected by are
 * indexed: Pods carry many others, some with a value of their own for every Pod.
 */
export class LabelledSet<V extends Labelled> {
  private readonly byName = new Map<string, V>();
  private readonly byKey = new Map<string, Map<string, Set<V>>>();

  get(name: string): V | undefined {
    return this.byName.get(name);
  }

  set(item: V): void {
    this.delete(item.name);
    this.byName.set(item.name, item);
    for (const key of Object.keys(item.labels)) {
      const values = this.byKey.get(key);
      if (values !== undefined) enter(values, item.labels[key], item);
    }
  }

  delete(name: string): void {
    const item = this.byName.get(name);
    if (item === undefined) return;
    this.byName.delete(name);
    for (const key of Object.keys(item.labels)) this.leave(key, item);
  }

  all(): Iterable<V> {
    return this.byName.values();
  }

  /** Items that have all the labels, in no order; an empty selector matches none. */
  matching(selector: Labels): readonly V[] {
    let fewest: ReadonlySet<V> | null = null;
    for (const key of Object.keys(selector)) {
      const items = this.valuesOf(key).get(selector[key]);
      if (items === undefined) return [];
      if (fewest === null || items.size < fewest.size) fewest = items;
    }
    return fewest === null ? [] : [...fewest].filter(({ labels }) => matches(labels, selector));
  }

  private valuesOf(key: string): ReadonlyMap<string, ReadonlySet<V>> {
    const known = this.byKey.get(key);
    if (known !== undefined) return known;
    const values = new Map<string, Set<V>>();
    for (const item of this.byName.values()) {
      if (Object.hasOwn(item.labels, key)) enter(values, item.labels[key], item);
    }
    this.byKey.set(key, values);
    return values;
  }

  private leave(key: string, item: V): void {
    const values = this.byKey.get(key);
    const items = values?.get(item.labels[key]);
    if (items?.delete(item) === true && items.size === 0) values?.delete(item.labels[key]);
  }
}

function enter<V>(values: Map<string, Set<V>>, value: string, item: V): void {
  const items = values.get(value);
  if (items === undefined) values.set(value, new Set([item]));
  else items.add(item);
}
