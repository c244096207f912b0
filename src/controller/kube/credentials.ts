import { readFile } from 'node:fs/promises';
import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { KubeConfigError } from './section.ts';

/** What a request shows to say who we are. */
export interface KubeIdentity {
  /** Value of the header `Authorization`. */
  readonly authorization: string | null;
  /** Client certificate and key, PEM, where they are the identity. */
  readonly cert?: string;
  readonly key?: string;
}

/** An identity that may change while the process runs. */
export interface KubeCredentials {
  /** Rejects with KubeConfigError where there is none. */
  current(): Promise<KubeIdentity>;
  /** The server answered 401: the next call looks for a newer identity. */
  refused(): void;
}

/** Credentials written down in the configuration, which no later look would change. */
export class FixedCredentials implements KubeCredentials {
  private readonly identity: KubeIdentity;

  constructor(identity: KubeIdentity) {
    this.identity = identity;
  }

  current(): Promise<KubeIdentity> {
    return Promise.resolve(this.identity);
  }

  refused(): void {}
}

/** Milliseconds for which a token that was read is used without looking at its file. */
const tokenLife = 60_000;

/** A bearer token in a file that somebody rotates, as kubelet does for a service account. */
export class TokenFile implements KubeCredentials {
  private readonly path: string;
  private readonly clock: Clock;
  private readonly log: Log;
  private token: string | null = null;
  private readAgainAt = 0;

  constructor(path: string, clock: Clock, log: Log) {
    this.path = path;
    this.clock = clock;
    this.log = log;
  }

  async current(): Promise<KubeIdentity> {
    if (this.token === null || this.clock.now() >= this.readAgainAt) await this.read();
    return { authorization: `Bearer ${this.token ?? ''}` };
  }

  refused(): void {
    this.readAgainAt = 0;
  }

  private async read(): Promise<void> {
    this.readAgainAt = this.clock.now() + tokenLife;
    try {
      const token = (await readFile(this.path, 'utf8')).trim();
      if (token === '') throw new Error('it is empty');
      this.token = token;
    } catch (error) {
      if (this.token === null) {
        throw new KubeConfigError(
          this.path,
          `cannot read the token: ${errorText(error)}; mount a service account token`,
        );
      }
      this.readAgainAt = 0;
      this.log.warn('cannot read the token anew, the old one stays in use', {
        file: this.path,
        error: errorText(error),
      });
    }
  }
}
