import type { AddressInfo } from 'node:net';
import type { Clock } from '../../router/clock.ts';

/** Codes of gRPC that we send. */
export const GrpcStatus = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

/** One call of `ExternalProcessor/Process`, as its handler uses it. */
export interface CallStream {
  /**
   * Sends one message, given as its protobuf bytes, which the carrier may keep until they are sent. False when more is
   * buffered than the peer takes: `onDrain` follows. Does nothing once the call is over.
   */
  send(message: Uint8Array): boolean;
  /** Ends the call with a status; nothing can be sent after it, and only `onClose` follows. */
  end(status: number, message?: string): void;
  /** Stops and goes on delivering messages. */
  pause(): void;
  resume(): void;
}

/** What happens to a call. Messages come in their order, one at a time. */
export interface CallHandler {
  /** The protobuf bytes of one message; valid only during the call of this function unless it copies them. */
  onMessage(message: Buffer): void;
  /** The peer has said all that it will. */
  onHalfClose(): void;
  onDrain(): void;
  /**
   * The call is over, whoever ended it; called exactly once, last. `broken`: its status did not come from the handler or
   * was not sent, since the peer reset the call or is gone, or one of its frames was at fault. That is no failure by
   * itself: Envoy resets each call, without an error, once the response is over.
   */
  onClose(broken: boolean): void;
}

/** The trace that a call belongs to, as its own headers tell: what called us, and not what it asks about. */
export interface CallContext {
  /** Empty where there is none; several are joined by commas. */
  readonly traceparent: string;
  readonly tracestate: string;
}

/** Makes the handler of a new call; called before its first message. `context` is valid during this call only. */
export type AcceptCall = (stream: CallStream, context: CallContext) => CallHandler;

/** Certificate chain and key in PEM. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
}

/** What the health service answers for. */
export const healthServices = [
  '',
  'liveness',
  'readiness',
  'envoy.service.ext_proc.v3.ExternalProcessor',
  'inference-extension',
] as const;

export type HealthService = (typeof healthServices)[number];

/** Whether we serve, as the health service tells it. */
export interface ServingStatus {
  serving(service: HealthService): boolean;
  /** Calls back after every change of what `serving` says; the returned function ends that. */
  onChange(listener: () => void): () => void;
}

export interface CarrierOptions {
  /** Takes calls of `ExternalProcessor/Process`; null on a port for health alone. */
  readonly accept: AcceptCall | null;
  readonly health: ServingStatus;
  /** Null: plain HTTP/2. */
  readonly tls: TlsMaterial | null;
  readonly clock: Clock;
  /** Told of every connection that breaks and of every handler that throws; none of them ends the process. */
  onFault(fault: Error): void;
}

/** A gRPC server of one port. */
export interface Carrier {
  /** Resolves to what it is bound to; port 0 takes a free one. Rejects when the port is in use. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Calls of `Process` under way. */
  readonly calls: number;
  /** Puts a new certificate in force for connections to come; throws when it cannot be used, and the old one stays. */
  renew(material: TlsMaterial): void;
  /**
   * Takes no more connections and no more calls, lets those under way end, and cuts what is left after so many
   * milliseconds. Resolves once nothing is open any more; to how many calls were cut.
   */
  drain(milliseconds: number): Promise<number>;
}
