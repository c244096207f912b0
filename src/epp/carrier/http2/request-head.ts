import type { HeaderField } from './header-field.ts';
import { Role } from './header-field.ts';
import type { FieldSink } from './hpack-decoder.ts';

/** Bytes of a request's fields at most, as tables count them. */
export const maxHeaderListBytes = 64 * 1024;

/** The fields of a request that we read, out of one header block: one object for all requests of a connection. */
export class RequestHead implements FieldSink {
  method = '';
  scheme = '';
  path = '';
  authority = '';
  contentType = '';
  /** -1 where it is not told. */
  contentLength = -1;
  /** Several are joined by commas; empty where there is none. */
  traceparent = '';
  tracestate = '';
  private size = 0;
  /** Pseudo-fields stand before all others, and not in trailers. */
  private pseudoAllowed = true;
  private isMalformed = false;

  /** Makes room for the fields of a request, or of its trailers. */
  begin(areTrailers: boolean): void {
    this.method = '';
    this.scheme = '';
    this.path = '';
    this.authority = '';
    this.contentType = '';
    this.contentLength = -1;
    this.traceparent = '';
    this.tracestate = '';
    this.size = 0;
    this.pseudoAllowed = !areTrailers;
    this.isMalformed = false;
  }

  get isTooLarge(): boolean {
    return this.size > maxHeaderListBytes;
  }

  /** Whether these may be a request's trailers. */
  get areTrailers(): boolean {
    return !this.isMalformed;
  }

  /** Whether this may be a request, of whatever method but CONNECT. */
  get isRequest(): boolean {
    return !this.isMalformed && this.method !== '' && this.scheme !== '' && this.path !== '';
  }

  onField(field: HeaderField): void {
    this.size += field.size;
    if (this.isTooLarge) return;
    switch (field.role) {
      case Role.ordinary:
        this.pseudoAllowed = false;
        break;
      case Role.contentType:
        this.pseudoAllowed = false;
        this.contentType = field.value;
        break;
      case Role.contentLength:
        this.onContentLength(Number(field.value));
        break;
      case Role.malformed:
        this.isMalformed = true;
        break;
      case Role.traceparent:
        this.pseudoAllowed = false;
        this.traceparent = joined(this.traceparent, field.value);
        break;
      case Role.tracestate:
        this.pseudoAllowed = false;
        this.tracestate = joined(this.tracestate, field.value);
        break;
      default:
        this.onPseudo(field);
    }
  }

  private onContentLength(length: number): void {
    this.pseudoAllowed = false;
    if (this.contentLength >= 0 && this.contentLength !== length) this.isMalformed = true;
    this.contentLength = length;
  }

  private onPseudo({ role, value }: HeaderField): void {
    if (!this.pseudoAllowed || this.has(role)) this.isMalformed = true;
    else if (role === Role.method) this.method = value;
    else if (role === Role.scheme) this.scheme = value;
    else if (role === Role.path) this.path = value;
    else this.authority = value;
  }

  private has(role: number): boolean {
    if (role === Role.method) return this.method !== '';
    if (role === Role.scheme) return this.scheme !== '';
    if (role === Role.path) return this.path !== '';
    return this.authority !== '';
  }
}

function joined(before: string, value: string): string {
  return before === '' ? value : `${before},${value}`;
}
