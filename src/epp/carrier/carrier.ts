/** Codes of gRPC that we send. */
export const GrpcStatus = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
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
  /** The call is over, whoever ended it; called exactly once, last. `broken`: the peer reset it or is gone. */
  onClose(broken: boolean): void;
}

/** Makes the handler of a new call; called before its first message. */
export type AcceptCall = (stream: CallStream) => CallHandler;
