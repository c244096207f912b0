import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import type { Clock } from '../../router/clock.ts';
import { encodeCommand, ReplyReader, type Reply } from './resp.ts';
import { StoreError } from './store-error.ts';

/** One connection to the store. */
export interface StoreConnection {
  /**
   * Sends a command; resolves to its reply. Rejects with a StoreError: for an error reply, for no reply within
   * `deadline` milliseconds (the connection is closed then), for a connection that ends.
   */
  call(args: readonly (string | Uint8Array)[], deadline: number): Promise<Reply>;
  close(): void;
}

/** Opens a connection that is ready for commands; rejects with a StoreError. */
export type Connect = () => Promise<StoreConnection>;

export interface RedisTarget {
  readonly host: string;
  readonly port: number;
  /** User of the server's access list; the default user when left out. */
  readonly username?: string;
  readonly password?: string;
  /** Number of the database. */
  readonly database?: number;
  readonly tls?: {
    /** Certificates of the authorities that sign the server's, PEM; those of the system when left out. */
    readonly ca?: string;
    /** Name that the certificate must carry, if not the host. */
    readonly serverName?: string;
  };
}

/** Milliseconds for connecting, the TLS handshake and every command of the greeting. */
const greetingDeadline = 5_000;

/** Connects to a Redis or Valkey. TLS is verified always; `lookup` resolves the host, as the system does without it. */
export async function connectRedis(
  target: RedisTarget,
  clock: Clock,
  lookup?: LookupFunction,
): Promise<StoreConnection> {
  const connection = new RedisConnection(await openSocket(target, clock, lookup), clock);
  try {
    for (const command of greeting(target)) await greet(connection, command);
  } catch (error) {
    connection.close();
    throw error;
  }
  return connection;
}

async function greet(connection: StoreConnection, command: readonly string[]): Promise<void> {
  try {
    await connection.call(command, greetingDeadline);
  } catch (error) {
    const answered = error instanceof StoreError && (error.trouble === 'Refused' || error.trouble === 'Failing');
    if (!answered || command[0] !== 'AUTH') throw error;
    // What it says may repeat what it was sent: a server that does not know the command shows its arguments.
    throw new StoreError('Refused', 'the server does not take the user or the password');
  }
}

function greeting({ username, password, database = 0 }: RedisTarget): string[][] {
  const commands: string[][] = [];
  if (password !== undefined) commands.push(['AUTH', ...(username === undefined ? [] : [username]), password]);
  if (database !== 0) commands.push(['SELECT', String(database)]);
  // Answers at once, and with an error where a password is missing or data is still being loaded.
  commands.push(['PING']);
  return commands;
}

async function openSocket(target: RedisTarget, clock: Clock, lookup?: LookupFunction): Promise<Socket> {
  const { host, port, tls } = target;
  const place = { host, port, ...(lookup === undefined ? {} : { lookup }) };
  if (tls === undefined) return opened(connectTcp({ ...place, noDelay: true }), 'connect', clock);
  const { connect } = await import('node:tls');
  const name = tls.serverName ?? host;
  const options = { ...place, ca: tls.ca, servername: isIP(name) === 0 ? name : '' };
  return opened(connect(options).setNoDelay(true), 'secureConnect', clock);
}

function opened(socket: Socket, event: string, clock: Clock): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const failed = (error: StoreError): void => {
      cancel();
      socket.destroy();
      reject(error);
    };
    const onError = (error: Error): void => failed(new StoreError('Unreachable', error.message));
    const onClose = (): void => failed(new StoreError('Unreachable', 'the connection ended while it was opened'));
    const cancel = clock.after(greetingDeadline, () =>
      failed(new StoreError('TimedOut', `no connection within ${greetingDeadline} ms`)),
    );
    socket.once('error', onError).once('close', onClose);
    socket.once(event, () => {
      cancel();
      socket.off('error', onError).off('close', onClose);
      resolve(socket);
    });
  });
}

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: StoreError) => void;
  readonly cancel: () => void;
}

class RedisConnection implements StoreConnection {
  private readonly socket: Socket;
  private readonly clock: Clock;
  private readonly reader = new ReplyReader();
  private waiting: Waiting[] = [];
  private ended: StoreError | null = null;

  constructor(socket: Socket, clock: Clock) {
    this.socket = socket;
    this.clock = clock;
    socket.on('data', (chunk: Buffer) => this.received(chunk));
    socket.on('error', (error) => this.end(new StoreError('Unreachable', error.message)));
    socket.on('close', () => this.end(new StoreError('Unreachable', 'the server closed the connection')));
  }

  call(args: readonly (string | Uint8Array)[], deadline: number): Promise<Reply> {
    const { ended } = this;
    if (ended !== null) return Promise.reject(ended);
    return new Promise((resolve, reject) => {
      const cancel = this.clock.after(deadline, () =>
        this.end(new StoreError('TimedOut', `no answer to ${String(args[0])} within ${deadline} ms`)),
      );
      this.waiting.push({ resolve, reject, cancel });
      this.socket.write(encodeCommand(args));
    });
  }

  close(): void {
    this.end(new StoreError('Unreachable', 'closed'));
  }

  private received(chunk: Buffer): void {
    try {
      this.reader.push(chunk, (reply) => this.answered(reply));
    } catch (error) {
      this.end(error instanceof StoreError ? error : new StoreError('Misbehaving', String(error)));
    }
  }

  private answered(reply: Reply): void {
    const first = this.waiting.shift();
    if (first === undefined) throw new StoreError('Misbehaving', 'the server sent a reply that nobody asked for');
    first.cancel();
    if (reply instanceof StoreError) first.reject(reply);
    else first.resolve(reply);
  }

  /** No reply can be told to which command it belongs any more: the connection ends, and all that wait. */
  private end(error: StoreError): void {
    if (this.ended !== null) return;
    this.ended = error;
    this.socket.destroy();
    const { waiting } = this;
    this.waiting = [];
    for (const { cancel, reject } of waiting) {
      cancel();
      reject(error);
    }
  }
}
