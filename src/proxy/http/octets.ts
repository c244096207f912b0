/** The alphabet of HTTP/1.1 heads, for both of the proxy's parsers. */
export const CR = 13;
export const LF = 10;
export const TAB = 9;
export const SPACE = 32;
export const COLON = 58;
export const SEMICOLON = 59;
const DEL = 127;

function byteClass(belongs: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (belongs(byte) ? 1 : 0));
}

/** RFC 9110 §5.6.2: what methods and header names are made of. */
export const tokenByte = byteClass((byte) => /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(byte)));
/** field-vchar, SP and HTAB of RFC 9110 §5.5; controls and DEL are not among them. */
export const valueByte = byteClass((byte) => byte === TAB || (byte >= SPACE && byte !== DEL));
/** What a request target is made of: visible ASCII, and no fragment, which no client sends (RFC 9112 §3.2). */
export const targetByte = byteClass((byte) => byte > SPACE && byte < DEL && byte !== 35);

/** The decimal number in text[from, to), or -1 where a character is no digit. */
export function digits(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (!(digit >= 0 && digit <= 9)) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** The value without the optional white space around it. */
export function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

/** Position of the first character from `from` on that is not of a class; the latin1 text must hold one, such as CR. */
export function endOf(byteSet: Uint8Array, text: string, from: number): number {
  let at = from;
  while (byteSet[text.charCodeAt(at)] === 1) at++;
  return at;
}
