import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { ManualClock } from '../carrier.fixture.ts';
import { frame, FrameReader, FrameType, type ReadFrame } from '../frames.fixture.ts';
import { Http2Connection } from './connection.ts';
import type { Http2Stream, StreamListener } from './stream.ts';

/** What a stream's listener was told. */
export class RecordedStream implements StreamListener {
  readonly stream: Http2Stream;
  readonly path: string;
  body: Buffer = Buffer.alloc(0);
  ends = 0;
  drains = 0;
  readonly closes: boolean[] = [];

  constructor(stream: Http2Stream, path: string) {
    this.stream = stream;
    this.path = path;
    stream.listener = this;
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.body = Buffer.concat([this.body, bytes.subarray(start, end)]);
  }

  onEnd(): void {
    this.ends += 1;
  }

  onDrain(): void {
    this.drains += 1;
  }

  onClose(finished: boolean): void {
    this.closes.push(finished);
  }
}

/** A connection, and its peer as bytes on a socket. */
export class Wire {
  readonly clock = new ManualClock();
  readonly faults: Error[] = [];
  readonly streams: RecordedStream[] = [];
  /** What the peer was sent. */
  readonly frames: ReadFrame[] = [];
  onStream: (stream: RecordedStream) => void = () => undefined;
  private readonly server = createServer();
  private readonly reader = new FrameReader();
  private opened: { connection: Http2Connection; peer: Socket } | null = null;

  /** Connects; `first` is what the peer says first. */
  async open(first: Uint8Array): Promise<this> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    const accepted = new Promise<Socket>((resolve) => this.server.once('connection', resolve));
    const peer = connect((this.server.address() as AddressInfo).port, '127.0.0.1');
    peer.on('error', () => undefined);
    peer.on('data', (bytes: Buffer) => this.frames.push(...this.reader.read(bytes)));
    peer.write(first);
    const connection = new Http2Connection(await accepted, {
      clock: this.clock,
      onRequest: (stream, head) => {
        const recorded = new RecordedStream(stream, head.path);
        this.streams.push(recorded);
        this.onStream(recorded);
      },
      onFault: (fault) => this.faults.push(fault),
    });
    this.opened = { connection, peer };
    return this;
  }

  get connection(): Http2Connection {
    if (this.opened === null) throw new Error('not open');
    return this.opened.connection;
  }

  get peer(): Socket {
    if (this.opened === null) throw new Error('not open');
    return this.opened.peer;
  }

  /** Waits until something is so. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Waits until all that was written has been read, and what follows from it has come. */
  async settled(): Promise<void> {
    // What windows have let go is sent behind the answer to the first.
    await this.pinged();
    await this.pinged();
  }

  /** Frames of a type, of a stream or of all. */
  of(type: number, stream?: number): ReadFrame[] {
    return this.frames.filter((frame) => frame.type === type && (stream === undefined || frame.stream === stream));
  }

  /** Bytes of DATA that the peer was sent on a stream. */
  data(stream: number): Buffer {
    return Buffer.concat(this.of(FrameType.data, stream).map(({ payload }) => payload));
  }

  /** The code of the last GOAWAY; -1 where there is none. */
  get goodbye(): number {
    return this.of(FrameType.goaway).at(-1)?.payload.readUInt32BE(4) ?? -1;
  }

  /** The code that a stream was reset with; -1 where it was not. */
  resetOf(stream: number): number {
    return this.of(FrameType.rstStream, stream)[0]?.payload.readUInt32BE(0) ?? -1;
  }

  private async pinged(): Promise<void> {
    const pongs = (): number => this.frames.filter(({ type }) => type === FrameType.ping).length;
    const before = pongs();
    this.peer.write(frame(FrameType.ping, 0, 0, Buffer.alloc(8, 1)));
    await this.until(() => pongs() > before || this.peer.destroyed);
  }

  close(): void {
    this.opened?.peer.destroy();
    this.server.close();
  }
}
