import { readFileSync, statSync } from 'node:fs';
import type { Server } from 'node:net';
import { errorText, type Log } from '../observability/log.ts';
import type { TlsMaterial } from '../proxy/server.ts';
import type { Clock } from '../router/clock.ts';
import type { ListenAddress } from './flags.ts';

/** A port that cannot be had, or a file outside that cannot be read. */
export class OutsideError extends Error {
  override readonly name = 'OutsideError';
}

/** Starts a server and logs where it listens. Rejects with OutsideError where it cannot. */
export function listen(server: Server, name: string, address: ListenAddress, log: Log): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new OutsideError(
          `the ${name} server cannot listen on ${address.host}:${address.port}: ${errorText(error)}; ` +
            `give another address by ${name === 'admin' || name === 'metrics' ? `--${name}` : '--listen'}`,
        ),
      );
    });
    server.listen({ host: address.host, port: address.port, backlog: 4096 }, () => {
      const bound = server.address();
      const port = typeof bound === 'object' && bound !== null ? bound.port : address.port;
      const text = address.host.includes(':') ? `[${address.host}]:${port}` : `${address.host}:${port}`;
      log.info('listening', { server: name, address: text });
      resolve(text);
    });
  });
}

/** Milliseconds between looks at certificate files. */
const interval = 1000;

/** Reads certificate and key. Throws OutsideError. */
export function readTls(cert: string, key: string): TlsMaterial {
  try {
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  } catch (error) {
    throw new OutsideError(`the TLS files cannot be read: ${errorText(error)}`);
  }
}

/** Puts renewed files in force; a pair that does not fit together is logged and the old one stays. */
export function followTls(
  files: { cert: string; key: string },
  clock: Clock,
  log: Log,
  renew: (tls: TlsMaterial) => void,
): void {
  let last = stamp(files);
  const look = (): void => {
    const now = stamp(files);
    if (now !== last) {
      last = now;
      try {
        renew(readTls(files.cert, files.key));
        log.info('certificate renewed');
      } catch (error) {
        log.error('the new certificate cannot be used; the old one stays', { error: errorText(error) });
      }
    }
    clock.after(interval, look);
  };
  clock.after(interval, look);
}

function stamp({ cert, key }: { cert: string; key: string }): string {
  try {
    return [cert, key].map((file) => `${statSync(file).ino} ${statSync(file).mtimeMs}`).join(' ');
  } catch {
    // Between the removal of the old file and the new one there is none; the next look finds it.
    return '';
  }
}
