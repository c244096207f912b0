import { readFileSync, statSync } from 'node:fs';
import { manifestFiles } from '../api/manifest-files.ts';
import type { Clock } from '../router/clock.ts';
import type { FileText } from './manifest-state.ts';

/** Milliseconds between looks; a change is in force after two. */
const interval = 300;

/** Where what is read goes. */
export interface ManifestSink {
  /** All files as they are now; called at the start and after each change. */
  changed(files: readonly FileText[]): void;
  /** The folder cannot be read now; what was in force stays. */
  failed(error: unknown): void;
}

/**
 * Watches a folder of manifests by looking at it: file events differ among systems and miss the link swap of a
 * mounted ConfigMap, while a look at some files costs next to nothing.
 */
export class ManifestWatch {
  private readonly folder: string;
  private readonly clock: Clock;
  private readonly sink: ManifestSink;
  private inForce = '';
  private lastSeen = '';
  private cancel: (() => void) | null = null;
  private failing = false;

  constructor(folder: string, clock: Clock, sink: ManifestSink) {
    this.folder = folder;
    this.clock = clock;
    this.sink = sink;
  }

  /** Reads the folder for the first time (throws if it cannot) and looks again and again until `close`. */
  start(): void {
    this.apply(manifestFiles(this.folder));
    this.cancel = this.clock.after(interval, this.look);
  }

  close(): void {
    this.cancel?.();
  }

  private readonly look = (): void => {
    try {
      this.read();
      this.failing = false;
    } catch (error) {
      if (!this.failing) this.sink.failed(error);
      this.failing = true;
    }
    this.cancel = this.clock.after(interval, this.look);
  };

  private read(): void {
    const paths = manifestFiles(this.folder);
    const signature = signatureOf(paths);
    // A file that is being written is empty or half there: only what two looks have seen alike is taken.
    if (signature !== this.inForce && signature === this.lastSeen) this.apply(paths);
    this.lastSeen = signature;
  }

  private apply(paths: readonly string[]): void {
    const signature = signatureOf(paths);
    const files = paths.map((path) => ({ path, text: readFileSync(path, 'utf8') }));
    this.inForce = signature;
    this.lastSeen = signature;
    this.sink.changed(files);
  }
}

function signatureOf(paths: readonly string[]): string {
  return paths.map(stamp).join('\n');
}

function stamp(path: string): string {
  const { ino, size, mtimeMs } = statSync(path);
  return `${path} ${ino} ${size} ${mtimeMs}`;
}
