import { constructFromEvents, CORE_SCHEMA, EVENT_ID, mergeTag, parseEvents, YAMLException } from 'js-yaml';
import type { Event } from 'js-yaml';
import { Positions } from './positions.ts';

/** A place in a file and what is wrong there. */
export interface FileFault {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  /** The field at fault; empty where the fault is the file's. */
  readonly path: string;
  readonly message: string;
  readonly cure: string;
}

/** One document of a file. */
export interface ParsedDocument {
  readonly value: unknown;
  /** The line of a field, or of the nearest field around it that is there; counted from 1. */
  lineOf(path: string): number;
}

export interface ParsedFile {
  readonly documents: readonly ParsedDocument[];
  readonly faults: readonly FileFault[];
}

const schema = CORE_SCHEMA.withTags(mergeTag);
/** Aliases share what they stand for; a few are convenient, thousands are an attack on whoever walks the tree. */
const maxAliases = 100;

/** Reads the documents of a YAML or JSON file; empty ones are passed over. A document at fault loses no other. */
export function parseDocuments(content: string, file: string): ParsedFile {
  // A byte order mark would shift every offset.
  const text = content.replace(/^\ufeff/, '');
  const faults: FileFault[] = [];
  const documents: ParsedDocument[] = [];
  for (const events of documentEvents(text, file, faults)) {
    const positions = new Positions(text, events);
    try {
      const [value] = constructFromEvents(events, { source: text, filename: file, schema, maxAliases });
      if (value !== null && value !== undefined) documents.push({ value, lineOf: (path) => positions.lineOf(path) });
    } catch (error) {
      faults.push(yamlFault(error, file, positions));
    }
  }
  return { documents, faults };
}

/** The events of each document; none when the syntax is broken, since a parser cannot tell where it is whole again. */
function documentEvents(text: string, file: string, faults: FileFault[]): Event[][] {
  const found: Event[][] = [];
  try {
    for (const event of parseEvents(text, { filename: file })) {
      if (event.type === EVENT_ID.DOCUMENT) found.push([]);
      found.at(-1)?.push(event);
    }
  } catch (error) {
    faults.push(yamlFault(error, file, null));
    return [];
  }
  return found;
}

function yamlFault(error: unknown, file: string, positions: Positions | null): FileFault {
  if (!(error instanceof YAMLException)) throw error;
  const { mark, reason } = error;
  const duplicate = reason === 'duplicated mapping key';
  return {
    file,
    line: mark === undefined ? 1 : mark.line + 1,
    path: duplicate && mark !== undefined ? (positions?.pathAt(mark.position) ?? '') : '',
    message: duplicate ? 'stands there twice' : `is no YAML: ${reason}`,
    cure: duplicate ? 'remove one of the two' : 'correct the syntax at this line',
  };
}
