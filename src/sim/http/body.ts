import { badBody } from './errors.ts';

/** A request's body, parsed. */
export type Body = ReadonlyMap<string, unknown>;

/** One fault found in a body, as pydantic reports it. */
interface Fault {
  readonly type: string;
  readonly loc: string;
  readonly msg: string;
  readonly input: string;
  readonly ctx?: string;
}

type Kind = 'string' | 'integer' | 'number' | 'boolean' | 'list' | 'object';

/** A field that the schema knows. */
export interface Field {
  readonly name: string;
  readonly kind: Kind;
  readonly required?: boolean;
}

/** Parses a JSON object; anything else is a 400 in the words of vLLM's validation. */
export function parseBody(bytes: Buffer): Body {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch (error) {
    throw invalidJson(error instanceof Error ? error.message : '', bytes.length);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return new Map(Object.entries(value));
  const msg = 'Input should be a valid dictionary or object to extract fields from';
  throw invalid([{ type: 'model_attributes_type', loc: 'body', msg, input: inputText(value) }]);
}

/** Checks a body against its fields; all faults are reported at once, in the order of the fields. */
export function checkFields(body: Body, fields: readonly Field[]): void {
  const faults: Fault[] = [];
  for (const field of fields) {
    const fault = faultOf(body, field);
    if (fault !== null) faults.push(fault);
  }
  if (faults.length > 0) throw invalid(faults);
}

/** A field that must be there and is not, or that has none of several allowed shapes. */
export function missingField(body: Body, name: string): Error {
  return invalid([missing(body, name)]);
}

/** The number in a checked field; numbers may come as text, which the engine reads too. */
export function numberField(body: Body, name: string): number | null {
  const value = body.get(name);
  if (typeof value === 'number') return value;
  return typeof value === 'string' ? Number(value) : null;
}

export function stringField(body: Body, name: string): string | null {
  const value = body.get(name);
  return typeof value === 'string' ? value : null;
}

/** A member of an object that was itself parsed from JSON; undefined where there is none. */
export function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return new Map<string, unknown>(Object.entries(value)).get(name);
}

function faultOf(body: Body, field: Field): Fault | null {
  const value = body.get(field.name);
  if (value === undefined && field.required === true) return missing(body, field.name);
  if (value === undefined || (value === null && field.required !== true)) return null;
  const wrong = checks[field.kind](value);
  if (wrong === null) return null;
  return { type: wrong[0], loc: `body.${field.name}`, msg: `Input should be ${wrong[1]}`, input: inputText(value) };
}

type Check = (value: unknown) => readonly [type: string, what: string] | null;

const checks: Readonly<Record<Kind, Check>> = {
  string: (value) => (typeof value === 'string' ? null : ['string_type', 'a valid string']),
  list: (value) => (Array.isArray(value) ? null : ['list_type', 'a valid list']),
  object: (value) => (isObject(value) ? null : ['dict_type', 'a valid dictionary']),
  boolean: (value) => (typeof value === 'boolean' ? null : ['bool_type', 'a valid boolean']),
  number(value) {
    if (typeof value === 'number' || isNumeric(value)) return null;
    if (typeof value === 'string') return ['float_parsing', 'a valid number, unable to parse string as a number'];
    return ['float_type', 'a valid number'];
  },
  integer(value) {
    if (Number.isInteger(value) || (isNumeric(value) && Number.isInteger(Number(value)))) return null;
    if (typeof value === 'string') return ['int_parsing', 'a valid integer, unable to parse string as an integer'];
    if (typeof value === 'number') return ['int_from_float', 'a valid integer, got a number with a fractional part'];
    return ['int_type', 'a valid integer'];
  },
};

function isNumeric(value: unknown): boolean {
  return typeof value === 'string' && /^[+-]?\d+(\.\d+)?$/.test(value.trim());
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function missing(body: Body, name: string): Fault {
  return { type: 'missing', loc: `body.${name}`, msg: 'Field required', input: `'<dict of ${body.size} items>'` };
}

function invalid(faults: readonly Fault[]): Error {
  const lines = faults.map(({ type, loc, msg, input, ctx }) => {
    const context = ctx === undefined ? '' : `, 'ctx': ${ctx}`;
    return `\n  {'type': '${type}', 'loc': '${loc}', 'msg': '${msg}', 'input': ${input}${context}}`;
  });
  const count = `${faults.length} validation error${faults.length === 1 ? '' : 's'}:`;
  return badBody(count + lines.join(''), faults[0].loc);
}

function invalidJson(reason: string, length: number): Error {
  const position = /position (\d+)/.exec(reason)?.[1] ?? String(Math.max(0, length - 1));
  const expecting = reason.includes('property name') ? 'property name enclosed in double quotes' : 'value';
  const ctx = `{'error': 'Expecting ${expecting}'}`;
  const loc = `body.${position}`;
  return invalid([{ type: 'json_invalid', loc, msg: 'JSON decode error', input: `'<dict of 0 items>'`, ctx }]);
}

/** Inputs as the server writes them in messages: scalars in Python's spelling, the rest by their size. */
function inputText(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `'<list of ${value.length} items>'`;
  return value instanceof Object ? `'<dict of ${Object.keys(value).length} items>'` : 'None';
}
