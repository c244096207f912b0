/** Values of Secrets by `namespace/name`. Never logged, shown or written anywhere. */
export type Secrets = ReadonlyMap<string, Readonly<Record<string, string>>>;

/** The values of a Secret manifest: `data` in base64, `stringData` as it is. */
export function readSecret(document: unknown): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const [key, value] of entries(document, 'data')) values[key] = Buffer.from(value, 'base64').toString('utf8');
  for (const [key, value] of entries(document, 'stringData')) values[key] = value;
  return values;
}

function entries(document: unknown, field: string): [string, string][] {
  if (typeof document !== 'object' || document === null) return [];
  const part: unknown = Reflect.get(document, field);
  if (typeof part !== 'object' || part === null) return [];
  return Object.entries(part).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
}
