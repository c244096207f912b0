/** One line of JSON per event: level, msg and fields. Never give it bodies, prompts, token ids or keys. */
export interface Log {
  info(msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  error(msg: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

type Level = 'info' | 'warn' | 'error';

/** A log that hands finished lines to `write`. */
export function createLog(write: (line: string) => void): Log {
  const line =
    (level: Level) =>
    (msg: string, fields: LogFields = {}): void => {
      write(JSON.stringify({ level, msg, ...fields }));
    };
  return { info: line('info'), warn: line('warn'), error: line('error') };
}

/**
 * Passes at most one line of the same message each `interval` milliseconds and says how many it kept back, so that
 * a survivable fault that happens a thousand times a second does not fill a disk.
 */
export function rateLimited(log: Log, now: () => number, interval = 5000): Log {
  const last = new Map<string, { at: number; held: number }>();
  const limit =
    (level: Level) =>
    (msg: string, fields: LogFields = {}): void => {
      const state = last.get(msg);
      const time = now();
      if (state !== undefined && time - state.at < interval) {
        state.held += 1;
        return;
      }
      last.set(msg, { at: time, held: 0 });
      log[level](msg, state === undefined || state.held === 0 ? fields : { ...fields, repeated: state.held });
    };
  return { info: limit('info'), warn: limit('warn'), error: limit('error') };
}

/** What there is to say of a thrown value. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
