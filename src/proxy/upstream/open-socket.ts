import { connect as connectTcp, isIP, type Socket, type SocketConstructorOpts } from 'node:net';
import { connect as connectTls, createSecureContext, type ConnectionOptions, type SecureContext } from 'node:tls';
import type { UpstreamTarget } from './client.ts';
import type { Connection } from './connection.ts';

/** Probes of a silent peer start after a minute: an engine's node may vanish without a word. */
const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 };

/**
 * Where all plain sockets read to. On epoll and kqueue a read and its callback are one synchronous step, and the parser
 * has copied what it keeps when the callback returns, so that no two sockets are ever in it at once; a buffer per
 * connection would cost 64 KiB for each of thousands of waiting streams.
 */
const readBuffer = Buffer.allocUnsafeSlow(65_536);
/** TLS hands out one record at a time and may decrypt on a write, so that each connection has its own. */
const tlsRecordBytes = 16_384;

type TlsOptions = NonNullable<UpstreamTarget['tls']>;

/** Opens connections to one target. */
export class Opener {
  private readonly target: UpstreamTarget;
  private context: SecureContext | null = null;
  private readonly autoSelectFamily: boolean;

  constructor(target: UpstreamTarget) {
    this.target = target;
    this.autoSelectFamily = isIP(target.host) === 0;
  }

  /** Throws what node:net and node:tls throw for a port, a host or a CA that can never work. */
  open(connection: Connection): void {
    if (this.target.tls === undefined) connection.attach(this.openTcp(connection), 'connect');
    else connection.attach(this.openTls(connection, this.target.tls), 'secureConnect');
  }

  private openTcp(connection: Connection): Socket {
    const { host, port } = this.target;
    const onread = { buffer: readBuffer, callback: reader(connection, readBuffer) };
    return connectTcp({ host, port, ...socketOptions, autoSelectFamily: this.autoSelectFamily, onread });
  }

  private openTls(connection: Connection, tls: TlsOptions): Socket {
    const { host, port } = this.target;
    const secureContext = (this.context ??= createSecureContext(tls.ca === undefined ? {} : { ca: tls.ca }));
    const buffer = Buffer.allocUnsafeSlow(tlsRecordBytes);
    const options: ConnectionOptions & SocketConstructorOpts = {
      host,
      port,
      secureContext,
      ...serverName(host, tls.serverName),
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: true,
      onread: { buffer, callback: reader(connection, buffer) },
    };
    // Unlike those of node:net, node:tls does not take these as options.
    return connectTls(options).setNoDelay(true).setKeepAlive(true, socketOptions.keepAliveInitialDelay);
  }
}

/** The name to ask for and to verify; an address cannot be asked for (RFC 6066 §3) and is verified by itself. */
function serverName(host: string, name: string | undefined): { servername?: string } {
  if (name !== undefined) return { servername: name };
  return isIP(host) === 0 ? { servername: host } : {};
}

function reader(connection: Connection, buffer: Buffer): (length: number) => boolean {
  return (length) => connection.onRead(buffer, length);
}
