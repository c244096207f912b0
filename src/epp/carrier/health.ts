import { bytesTag, Cursor } from '../wire/cursor.ts';
import { WireError } from '../wire/wire-error.ts';
import { GrpcStatus, healthServices } from './carrier.ts';
import type { AcceptCall, CallHandler, CallStream, HealthService, ServingStatus } from './carrier.ts';

/** Of `grpc.health.v1.HealthCheckResponse`. */
const Serving = { serving: 1, notServing: 2, serviceUnknown: 3 } as const;
const service = bytesTag(1);

/** The service `grpc.health.v1.Health`. */
export class HealthEndpoint {
  private readonly status: ServingStatus;
  private readonly watches = new Set<Watch>();
  private readonly stopListening: () => void;
  private draining = false;

  constructor(status: ServingStatus) {
    this.status = status;
    this.stopListening = status.onChange(() => {
      for (const watch of this.watches) watch.tell();
    });
  }

  readonly check: AcceptCall = (stream) => new Check(stream, this);

  readonly watch: AcceptCall = (stream) => {
    const watch = new Watch(stream, this, () => this.watches.delete(watch));
    this.watches.add(watch);
    return watch;
  };

  /** Says "not serving" to all who watch, and ends their calls, which would otherwise last as long as they like. */
  drain(): void {
    this.draining = true;
    this.stopListening();
    for (const watch of this.watches) watch.finish();
  }

  of(name: string): number {
    const known = healthServices.find((service) => service === name);
    if (known === undefined) return Serving.serviceUnknown;
    return this.serves(known) ? Serving.serving : Serving.notServing;
  }

  private serves(known: HealthService): boolean {
    return !this.draining && this.status.serving(known);
  }
}

/** Answers the one message of a call. */
class Check implements CallHandler {
  protected readonly stream: CallStream;
  protected readonly health: HealthEndpoint;
  protected service: string | null = null;

  constructor(stream: CallStream, health: HealthEndpoint) {
    this.stream = stream;
    this.health = health;
  }

  onMessage(message: Buffer): void {
    if (this.service !== null) return;
    try {
      this.service = readService(message);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.stream.end(GrpcStatus.invalidArgument, error.message);
      return;
    }
    this.answer(this.health.of(this.service));
  }

  onHalfClose(): void {
    if (this.service === null) this.stream.end(GrpcStatus.invalidArgument, 'the request is missing');
  }

  onDrain(): void {}

  onClose(): void {}

  protected answer(status: number): void {
    if (status === Serving.serviceUnknown) {
      this.stream.end(GrpcStatus.notFound, 'unknown service');
      return;
    }
    this.stream.send(response(status));
    this.stream.end(GrpcStatus.ok);
  }
}

/** Says how a service is, and again after every change. */
class Watch extends Check {
  private readonly closed: () => void;
  private told = 0;

  constructor(stream: CallStream, health: HealthEndpoint, closed: () => void) {
    super(stream, health);
    this.closed = closed;
  }

  tell(): void {
    if (this.service !== null) this.answer(this.health.of(this.service));
  }

  finish(): void {
    this.tell();
    this.stream.end(GrpcStatus.unavailable, 'draining');
  }

  override onClose(): void {
    this.closed();
  }

  protected override answer(status: number): void {
    if (status === this.told) return;
    this.told = status;
    this.stream.send(response(status));
  }
}

function response(status: number): Uint8Array {
  return Uint8Array.of(8, status);
}

/** The name in a `HealthCheckRequest`. */
function readService(message: Buffer): string {
  const cursor = new Cursor();
  cursor.start(message);
  let name = '';
  while (cursor.more()) {
    const tag = cursor.tag();
    if (tag !== service) {
      cursor.skip(tag);
      continue;
    }
    const length = cursor.length();
    name = message.toString('utf8', cursor.at, cursor.at + length);
    cursor.at += length;
  }
  return name;
}
