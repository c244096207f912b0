import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import type { FileFault } from '../api/documents.ts';
import type { Clock } from '../router/clock.ts';
import type { ConfigSnapshot, FileLook } from './config-file-state.ts';

/** Milliseconds between looks; a change is in force after two. */
const interval = 300;
/** Bytes. A ConfigMap holds no more, and what is read three times a second must stay small. */
const limit = 1024 * 1024;

/** The file is at fault from the start, so that there is nothing to keep in force. */
export class ConfigFileError extends Error {
  override readonly name = 'ConfigFileError';
  readonly faults: readonly FileFault[];

  constructor(path: string, faults: readonly FileFault[]) {
    super(`the configuration ${path} has ${faults.length} fault${faults.length === 1 ? '' : 's'}`);
    this.faults = faults;
  }
}

/** A configuration file over time, whatever its form. */
export interface FollowedFile<S> {
  readonly path: string;
  /** Whether nothing that was right has been read so far. */
  readonly empty: boolean;
  update(look: FileLook): S;
}

/**
 * Follows one configuration file by reading it again and again: so a link swap of a mounted ConfigMap, a new file in
 * its place and a change within one tick of the file system's clock are all seen, and a small file costs nothing.
 */
export class ConfigFileWatch<S extends { readonly faults: readonly FileFault[] } = ConfigSnapshot> {
  private readonly clock: Clock;
  private readonly changed: (snapshot: S) => void;
  private readonly state: FollowedFile<S>;
  private inForce = '';
  private lastSeen = '';
  private cancel: (() => void) | null = null;

  /**
   * `changed` gets what is in force at the start and after each change, also when the file breaks, vanishes or is back.
   */
  constructor(state: FollowedFile<S>, clock: Clock, changed: (snapshot: S) => void) {
    this.clock = clock;
    this.changed = changed;
    this.state = state;
  }

  /**
   * Reads the file for the first time and looks at it until `close`. Throws what the file system throws, and
   * ConfigFileError for a file at fault.
   */
  start(): void {
    const { path } = this.state;
    accessSync(path, constants.R_OK);
    const look = lookAt(path);
    const snapshot = this.state.update(look);
    if (this.state.empty) throw new ConfigFileError(path, snapshot.faults);
    this.inForce = this.lastSeen = identityOf(look);
    this.changed(snapshot);
    this.cancel = this.clock.after(interval, this.look);
  }

  close(): void {
    this.cancel?.();
  }

  private readonly look = (): void => {
    const look = lookAt(this.state.path);
    const seen = identityOf(look);
    // A file that is being written is empty or half there: only what two looks have seen alike is taken.
    const settled = seen === this.lastSeen;
    this.lastSeen = seen;
    if (settled && seen !== this.inForce) {
      this.inForce = seen;
      this.changed(this.state.update(look));
    }
    this.cancel = this.clock.after(interval, this.look);
  };
}

function lookAt(path: string): FileLook {
  try {
    const stat = statSync(path);
    // A pipe would be waited for, for ever.
    if (!stat.isFile()) return problem('is no file', 'name a file');
    if (stat.size > limit) return problem('is larger than 1 MiB', 'name the file that holds the configuration');
    return { text: readFileSync(path, 'utf8') };
  } catch (error) {
    if (!isSystemError(error)) throw error;
    if (error.code === 'ENOENT') return problem('does not exist', 'put it back, or start the router without it');
    return problem(`cannot be read (${error.code})`, 'check its permissions');
  }
}

const problem = (message: string, cure: string): FileLook => ({ problem: { message, cure } });

/** Equal for looks that saw the same. */
const identityOf = (look: FileLook): string => ('text' in look ? `= ${look.text}` : `! ${look.problem.message}`);

const isSystemError = (error: unknown): error is Error & { code: string } =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && 'syscall' in error;
