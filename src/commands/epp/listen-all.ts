import type { Carrier } from '../../epp/carrier/carrier.ts';
import { errorText, type Log } from '../../observability/log.ts';
import type { ListenAddress } from '../flags.ts';
import { OutsideError } from '../listen.ts';

/** A carrier that is to listen. */
export interface Listener {
  readonly carrier: Carrier;
  readonly address: ListenAddress;
  /** Name of the server, for the log. */
  readonly server: string;
  /** The flag that names the address. */
  readonly flag: string;
  /** Of the pool; absent for a server of all. */
  readonly pool?: string;
}

/** Starts carriers one by one and logs where they listen. Rejects with OutsideError where one cannot. */
export async function listenAll(listeners: readonly Listener[], log: Log): Promise<void> {
  for (const listener of listeners) await listenOne(listener, log);
}

async function listenOne({ carrier, address, server, flag, pool }: Listener, log: Log): Promise<void> {
  const { host, port } = address;
  const shown = host.includes(':') ? `[${host}]` : host;
  try {
    const bound = await carrier.listen(host, port);
    log.info('listening', { server, address: `${shown}:${bound.port}`, ...(pool === undefined ? {} : { pool }) });
  } catch (error) {
    throw new OutsideError(
      `the ${server} server cannot listen on ${shown}:${port}: ${errorText(error)}; give another address by --${flag}`,
    );
  }
}
