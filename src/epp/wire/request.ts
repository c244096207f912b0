/** Which of its messages a ProcessingRequest carries: the field numbers of its oneof. */
export const Phase = {
  requestHeaders: 2,
  responseHeaders: 3,
  requestBody: 4,
  responseBody: 5,
  requestTrailers: 6,
  responseTrailers: 7,
} as const;

/** Header lines of one message, in their order; names are lower case, values are bytes read as latin1. */
export interface HeaderLines {
  readonly length: number;
  name(index: number): string;
  value(index: number): string;
  /** The last value of a name given in lower case. */
  get(name: string): string | undefined;
}

/** What we read of one `envoy.service.ext_proc.v3.ProcessingRequest`; one object is used again for every message. */
export interface ProcessingRequest {
  /** One of Phase; 0 for a message that carries none of them. */
  readonly phase: number;
  /** Of headers and bodies: nothing follows in this direction, not even trailers. */
  readonly endOfStream: boolean;
  /** Of headers and trailers; empty otherwise. */
  readonly headers: HeaderLines;
  /** A piece of a body: a view of the message, valid as long as that. Empty otherwise. */
  readonly body: Buffer;
  /** Filter metadata `envoy.lb.subset_hint` / `x-gateway-destination-endpoint-subset`, list or comma text; null where there is none. */
  readonly subset: readonly string[] | null;
  /** Filter metadata `envoy.lb` / `x-gateway-destination-endpoint-served`, or empty. */
  readonly served: string;
  /** Filter metadata `envoy.lb` / `x-gateway-destination-endpoint`, which Envoy gives back in the response phase, or empty. */
  readonly destination: string;
}
