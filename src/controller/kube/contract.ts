/** An object of the API server, as far as every kind has it. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: KubeMetadata;
  readonly [field: string]: unknown;
}

export interface KubeMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  /** RFC 3339. */
  readonly creationTimestamp?: string;
  /** Set while the object ends. */
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query, such as `/api/v1/namespaces/a/pods?limit=500`. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Of the body; `application/json` unless given. Server-side apply: `application/apply-patch+yaml`. */
  readonly contentType?: string;
  /** Milliseconds until the call counts as unanswered; 15,000 unless given. */
  readonly timeout?: number;
}

/** An answer of whatever status; 4xx and 5xx carry a `Status` object. */
export interface KubeResponse {
  readonly status: number;
  readonly body: unknown;
  /** Milliseconds that the server asks to be left alone (`Retry-After` of a 429 or 503). */
  readonly retryAfter?: number;
}

/** One line of a watch. `ERROR` carries a `Status` object. */
export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: unknown;
}

export interface WatchHandler {
  /** The server took the watch: what changes from now on will be told. */
  open?(): void;
  event(event: WatchEvent): void;
  /**
   * The watch is over: `status` of a refused one, null when the stream ended or broke (`error` says how). Called once.
   * `retryAfter` is in milliseconds, where a refusal names it.
   */
  end(status: number | null, error: Error | null, retryAfter?: number): void;
}

/** Calls to one API server with one identity. */
export interface KubeClient {
  /** Namespace of the pod or of the kubeconfig's context. */
  readonly namespace: string;
  /** Rejects with KubeUnreachable when no answer came within the time-out. */
  send(request: KubeRequest): Promise<KubeResponse>;
  /** Opens a watch; the returned function closes it without a further call to the handler. */
  watch(path: string, handler: WatchHandler): () => void;
  close(): void;
}

/** The API server gave no answer. */
export class KubeUnreachable extends Error {
  override readonly name = 'KubeUnreachable';
}
