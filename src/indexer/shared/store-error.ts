/**
 * What keeps the shared store away. Unreachable: no connection, or a broken one. TimedOut: it accepts and does not
 * answer. Refused: wrong user, password or rights. Failing: it answers with another error (loading, read only, out of
 * memory, …). Misbehaving: what it sends is no answer of a Redis.
 */
export type StoreTrouble = 'Unreachable' | 'TimedOut' | 'Refused' | 'Failing' | 'Misbehaving';

/** A command or a connection of the shared store failed; `message` never holds what was sent. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly trouble: StoreTrouble;

  constructor(trouble: StoreTrouble, message: string) {
    super(message);
    this.trouble = trouble;
  }
}

const refusals = new Set(['NOAUTH', 'WRONGPASS', 'NOPERM', 'DENIED']);
const longestText = 200;

/** The error of an error reply such as `-READONLY You can't write against a read only replica.` */
export function errorOfReply(text: string): StoreError {
  const code = text.slice(0, text.search(/ |$/));
  // Redis before 6.2 refuses a password without a code of its own.
  const refused =
    refusals.has(code) || text.startsWith('ERR invalid password') || text.startsWith('ERR Client sent AUTH');
  // The text comes from elsewhere and goes to a log: printable, and of some length.
  const shown = text.replace(/[^\x20-\x7e]/g, '?').slice(0, longestText);
  return new StoreError(refused ? 'Refused' : 'Failing', shown);
}
