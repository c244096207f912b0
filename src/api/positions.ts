import { EVENT_ID, getScalarValue } from 'js-yaml';
import type { Event } from 'js-yaml';
import type { Path } from './path.ts';
import { pathText } from './path.ts';

/** Where the fields of one YAML document stand in its file. */
export class Positions {
  private readonly source: string;
  private readonly events: readonly Event[];
  private readonly offsets = new Map<string, number>();
  private readonly paths = new Map<number, string>();
  private next = 0;

  /** `events` are those of one document, from its start to its end. */
  constructor(source: string, events: readonly Event[]) {
    this.source = source;
    this.events = events;
    // The first event opens the document; an empty one has no more.
    this.next = 1;
    if (this.next < events.length) this.node([], offsetOf(events[this.next]));
  }

  /** Line, counted from 1, of a field or of the nearest one around it that is there. */
  lineOf(path: string): number {
    for (let at: string | null = path; at !== null; at = around(at)) {
      const offset = this.offsets.get(at);
      if (offset !== undefined) return lineAt(this.source, offset);
    }
    return 1;
  }

  /** The field whose name stands at an offset of the file, if one does. */
  pathAt(offset: number): string | undefined {
    return this.paths.get(offset);
  }

  /** Reads one value; a field's place is that of its name, an item's that of its value. */
  private node(path: Path, offset: number): void {
    const text = pathText(path);
    if (!this.offsets.has(text)) this.offsets.set(text, offset);
    this.paths.set(offset, text);
    const event = this.events[this.next];
    this.next += 1;
    if (event.type === EVENT_ID.MAPPING) this.fields(path);
    else if (event.type === EVENT_ID.SEQUENCE) this.items(path);
  }

  private fields(path: Path): void {
    while (this.events[this.next].type !== EVENT_ID.POP) {
      const key = this.events[this.next];
      const name = key.type === EVENT_ID.SCALAR ? getScalarValue(this.source, key) : '?';
      const at = [...path, name];
      // A key that is a map or a list, as YAML allows, is read over.
      this.node(at, offsetOf(key));
      this.node(at, offsetOf(key));
    }
    this.next += 1;
  }

  private items(path: Path): void {
    for (let i = 0; this.events[this.next].type !== EVENT_ID.POP; i++) {
      this.node([...path, i], offsetOf(this.events[this.next]));
    }
    this.next += 1;
  }
}

function offsetOf(event: Event): number {
  if (event.type === EVENT_ID.SCALAR) return event.valueStart;
  if (event.type === EVENT_ID.ALIAS) return event.anchorStart;
  return 'start' in event ? event.start : 0;
}

/** `a.b[0]` → `a.b` → `a` → the document → nothing. */
function around(path: string): string | null {
  if (path === '') return null;
  const cut = path.endsWith(']') ? path.lastIndexOf('[') : path.lastIndexOf('.');
  return path.slice(0, Math.max(0, cut));
}

function lineAt(source: string, offset: number): number {
  let line = 1;
  for (let at = source.indexOf('\n'); at >= 0 && at < offset; at = source.indexOf('\n', at + 1)) line += 1;
  return line;
}
