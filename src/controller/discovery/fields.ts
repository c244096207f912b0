/** An object as it came over the wire: any field may be missing or of another type than it should be. */
export type Fields = Readonly<Record<string, unknown>>;
export type Labels = Readonly<Record<string, string>>;

const none: Fields = Object.freeze({});
const noLabels: Labels = Object.freeze({});

/** The fields of an object; none where the value is no object. */
export function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : none;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The items of a list that are objects. */
export function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : [];
}

/** The items of a list that are texts. */
export function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

/** Empty where the value is no text. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The number of a port, or 0. */
export function portOf(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535 ? value : 0;
}

/** Null where the value is neither true nor false. */
export function flagOf(value: unknown): boolean | null {
  return typeof value === 'boolean' ? value : null;
}

/** The entries of a map that are texts; the very same object where all are. */
export function labelsOf(value: unknown): Labels {
  const fields = fieldsOf(value);
  if (isLabels(fields)) return fields === none ? noLabels : fields;
  return Object.fromEntries(Object.entries(fields).filter((entry): entry is [string, string] => isText(entry[1])));
}

const isText = (value: unknown): value is string => typeof value === 'string';

function isLabels(fields: Fields): fields is Labels {
  return Object.values(fields).every(isText);
}

/** Whether two flat maps say the same. */
export function sameMap<T extends string | number>(
  a: Readonly<Record<string, T>>,
  b: Readonly<Record<string, T>>,
): boolean {
  if (a === b) return true;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

/** Whether two lists have the same items, by a comparison of two of them. */
export function sameList<T>(a: readonly T[], b: readonly T[], same: (one: T, other: T) => boolean): boolean {
  return a.length === b.length && a.every((item, i) => same(item, b[i]));
}

/** Whether an object has all the labels of a selector. */
export function matches(labels: Labels, selector: Labels): boolean {
  for (const key of Object.keys(selector)) if (labels[key] !== selector[key]) return false;
  return true;
}
