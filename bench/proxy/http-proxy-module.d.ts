/** The little of http-proxy 1.18 that the benchmarks use; the package brings no types. */
declare module 'http-proxy' {
  import type { Agent, IncomingMessage, ServerResponse } from 'node:http';

  interface Target {
    readonly host: string;
    readonly port: number;
  }
  interface Proxy {
    web(request: IncomingMessage, response: ServerResponse, options: { target: Target }): void;
    on(event: 'error', listener: (error: Error, request: IncomingMessage, response: ServerResponse) => void): this;
  }
  const httpProxy: { createProxyServer(options: { agent: Agent }): Proxy };
  export default httpProxy;
}
