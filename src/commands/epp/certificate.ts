import { join } from 'node:path';
import type { Carrier, TlsMaterial } from '../../epp/carrier/carrier.ts';
import { selfSigned } from '../../epp/carrier/self-signed.ts';
import type { Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { UsageError } from '../io.ts';
import { followTls, readTls } from '../listen.ts';
import { booleanFlag, type PickerFlags } from './flags.ts';

/** How calls come in. */
export interface Certificate {
  /** Null: without TLS. */
  readonly material: TlsMaterial | null;
  /** Puts renewed files in force on these servers from now on. */
  follow(carriers: readonly Carrier[], clock: Clock, log: Log): void;
}

/** The certificate that the flags ask for. Throws UsageError, and OutsideError where it cannot be read. */
export function certificateOf(flags: PickerFlags): Certificate {
  const path = flags['cert-path'];
  if (!booleanFlag('secure-serving', flags['secure-serving'])) {
    if (path !== '') throw new UsageError('--cert-path: without effect beside --secure-serving=false; leave it out');
    return { material: null, follow: () => undefined };
  }
  // A gateway does not verify the picker's certificate unless it was told to: it is there for secrecy.
  if (path === '') return { material: selfSigned(new Date()), follow: () => undefined };
  const files = { cert: join(path, 'tls.crt'), key: join(path, 'tls.key') };
  return {
    material: readTls(files.cert, files.key),
    follow(carriers, clock, log) {
      followTls(files, clock, log, (material) => {
        for (const carrier of carriers) carrier.renew(material);
      });
    },
  };
}
