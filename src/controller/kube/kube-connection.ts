import type { KubeCredentials } from './credentials.ts';

/** How the API server proves itself and, with `cert` and `key` (PEM), how we do. */
export interface KubeTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Name in the server's certificate where it is not that of its address. */
  readonly servername?: string;
  /** False: any server is believed (`insecure-skip-tls-verify`). */
  readonly rejectUnauthorized?: boolean;
}

/** Where the API server is and who we are. */
export interface KubeConnection {
  /** May have a path, which goes before that of every request. */
  readonly server: URL;
  readonly namespace: string;
  /** The file or folder that says so, for people. */
  readonly source: string;
  readonly tls: KubeTls;
  readonly credentials: KubeCredentials;
}
