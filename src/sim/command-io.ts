/** What a command writes to and how it is told to stop; main gives the process's own. */
export interface CommandIo {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
  /** Ends a command that would run for ever; SIGTERM and SIGINT end it where this is absent. */
  readonly stop?: AbortSignal;
}

/** 0: done as asked; 2: the command line is wrong; 3: the outside world is at fault. */
export const exitCode = Object.freeze({ fine: 0, usage: 2, outside: 3 });

/** Thrown for a command line that cannot be obeyed; the message says what to write instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Settles when the command is told to stop. */
export async function stopped(io: CommandIo): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = (): void => {
    resolve();
  };
  // A timer keeps the process up while nothing else does; signals alone would not.
  const alive = setInterval(() => undefined, 0x7fffffff);
  process.once('SIGTERM', stop).once('SIGINT', stop);
  io.stop?.addEventListener('abort', stop, { once: true });
  if (io.stop?.aborted === true) stop();
  await promise;
  clearInterval(alive);
  process.off('SIGTERM', stop).off('SIGINT', stop);
}
