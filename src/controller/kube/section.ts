import { isObject } from '../../api/schema-node.ts';

/** The configuration does not say how to reach the API server, or says it wrongly; the message names file and cure. */
export class KubeConfigError extends Error {
  override readonly name = 'KubeConfigError';
  readonly file: string;

  constructor(file: string, message: string) {
    super(`${file}: ${message}`);
    this.file = file;
  }
}

/** A mapping of a configuration file that knows where it stands, so that a fault can be told with its place. */
export class Section {
  readonly file: string;
  /** Such as `clusters[kind].cluster`; empty for the whole file. */
  readonly place: string;
  readonly value: Readonly<Record<string, unknown>>;

  constructor(file: string, place: string, value: unknown) {
    this.file = file;
    this.place = place;
    if (value !== undefined && value !== null && !isObject(value)) {
      throw new KubeConfigError(file, `${place === '' ? 'the file' : place} must be a mapping`);
    }
    this.value = value ?? {};
  }

  has(field: string): boolean {
    return this.value[field] !== undefined && this.value[field] !== null;
  }

  /** A string that is not empty, or null where the field is left out. */
  text(field: string): string | null {
    const value = this.value[field];
    if (value === undefined || value === null || value === '') return null;
    if (typeof value !== 'string') throw this.fault(field, 'must be a string; put it in quotes');
    return value;
  }

  requiredText(field: string): string {
    const value = this.text(field);
    if (value === null) throw this.fault(field, 'is missing');
    return value;
  }

  flag(field: string): boolean {
    const value = this.value[field];
    if (value === undefined || value === null) return false;
    if (typeof value !== 'boolean') throw this.fault(field, 'must be true or false');
    return value;
  }

  section(field: string): Section {
    return new Section(this.file, this.placeOf(field), this.value[field]);
  }

  /** The entries of a list of mappings. */
  list(field: string): Section[] {
    const value = this.value[field];
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) throw this.fault(field, 'must be a list');
    return value.map((entry, index) => new Section(this.file, `${this.placeOf(field)}[${index}]`, entry));
  }

  fault(field: string, message: string): KubeConfigError {
    return new KubeConfigError(this.file, `${this.placeOf(field)} ${message}`);
  }

  private placeOf(field: string): string {
    return this.place === '' ? field : `${this.place}.${field}`;
  }
}
