import { bytesTag, Cursor, varintTag } from './cursor.ts';
import { HeaderTable } from './header-table.ts';
import { RequestMetadata } from './metadata.ts';
import { Phase, type HeaderLines, type ProcessingRequest } from './request.ts';

const metadataContext = 8;

/** Of `HttpHeaders` and `HttpTrailers`. */
const headerMap = bytesTag(1);
const headersEnd = varintTag(3);
/** Of `HttpBody`. */
const bodyBytes = bytesTag(1);
const bodyEnd = varintTag(2);

const nothing = Buffer.alloc(0);

/**
 * Reads `envoy.service.ext_proc.v3.ProcessingRequest`. It is itself what it has read, and good until the next
 * message: a call makes one, or a process that reads a message to its end before the next makes one for all.
 */
export class RequestDecoder implements ProcessingRequest {
  phase = 0;
  endOfStream = false;
  body: Buffer = nothing;
  private readonly table = new HeaderTable();
  private readonly metadata = new RequestMetadata();
  private readonly cursor = new Cursor();

  get headers(): HeaderLines {
    return this.table;
  }

  get subset(): readonly string[] | null {
    return this.metadata.subset;
  }

  get served(): string {
    return this.metadata.served;
  }

  get destination(): string {
    return this.metadata.destination;
  }

  /** Reads one message, of which headers and body then are views; throws a `WireError` when it is malformed. */
  decode(message: Buffer): ProcessingRequest {
    this.become(0);
    this.metadata.clear();
    const { cursor } = this;
    cursor.start(message);
    while (cursor.more()) {
      const tag = cursor.tag();
      if ((tag & 7) === 2) this.field(tag >>> 3, tag);
      else cursor.skip(tag);
    }
    return this;
  }

  private field(number: number, tag: number): void {
    const { cursor } = this;
    if (!isPhase(number) && number !== metadataContext) {
      cursor.skip(tag);
      return;
    }
    const outer = cursor.enter();
    if (number === metadataContext) this.metadata.read(cursor);
    else this.part(number);
    cursor.leave(outer);
  }

  private part(phase: number): void {
    // Protobuf merges what comes twice; of several members of a oneof the last one counts.
    if (phase !== this.phase) this.become(phase);
    if (phase === Phase.requestBody || phase === Phase.responseBody) this.readBody();
    else this.readHeaders(phase === Phase.requestHeaders || phase === Phase.responseHeaders);
  }

  private become(phase: number): void {
    this.phase = phase;
    this.endOfStream = false;
    this.body = nothing;
    this.table.clear();
  }

  /** `HttpHeaders`, or `HttpTrailers`, which know no end of the stream because they are it. */
  private readHeaders(mayEnd: boolean): void {
    const { cursor } = this;
    while (cursor.more()) {
      const tag = cursor.tag();
      if (tag === headerMap) {
        const outer = cursor.enter();
        this.table.read(cursor);
        cursor.leave(outer);
      } else if (tag === headersEnd && mayEnd) this.endOfStream = cursor.varint() !== 0;
      else cursor.skip(tag);
    }
  }

  private readBody(): void {
    const { cursor } = this;
    while (cursor.more()) {
      const tag = cursor.tag();
      if (tag === bodyBytes) {
        const length = cursor.length();
        this.body = cursor.bytes.subarray(cursor.at, cursor.at + length);
        cursor.at += length;
      } else if (tag === bodyEnd) this.endOfStream = cursor.varint() !== 0;
      else cursor.skip(tag);
    }
  }
}

function isPhase(number: number): boolean {
  return number >= Phase.requestHeaders && number <= Phase.responseTrailers;
}
