// do-nothing.ts PORT ENDPOINT…: a picker on @grpc/grpc-js that takes the endpoints in turn and reads no body.
import { loadPackageDefinition, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';

interface Body {
  readonly body: Buffer;
  readonly end_of_stream: boolean;
}

interface ProcessingRequest {
  readonly request?: string;
  readonly request_headers?: { readonly end_of_stream: boolean };
  readonly request_body?: Body;
  readonly response_body?: Body;
}

type Stream = ServerDuplexStream<ProcessingRequest, object>;

const [port, ...endpoints] = process.argv.slice(2);
const header = 'x-gateway-destination-endpoint';
/** Bytes of a body's piece at most. */
const pieceBytes = 62_000;
let turn = 0;

function picked(): object {
  const endpoint = endpoints[(turn += 1) % endpoints.length];
  const set = [{ header: { key: header, raw_value: Buffer.from(endpoint) } }];
  return {
    request_headers: { response: { header_mutation: { set_headers: set }, clear_route_cache: true } },
    dynamic_metadata: {
      fields: { 'envoy.lb': { structValue: { fields: { [header]: { stringValue: endpoint } } } } },
    },
  };
}

function sendBody(stream: Stream, name: string, body: Buffer, last: boolean): void {
  for (let from = 0; from === 0 || from < body.length; from += pieceBytes) {
    const piece = body.subarray(from, from + pieceBytes);
    const streamed_response = { body: piece, end_of_stream: last && from + pieceBytes >= body.length };
    stream.write({ [name]: { response: { body_mutation: { streamed_response } } } });
  }
}

function accept(stream: Stream): void {
  const pieces: Buffer[] = [];
  const flush = (last: boolean): void => {
    stream.write(picked());
    sendBody(stream, 'request_body', Buffer.concat(pieces), last);
  };
  const take: Record<string, (message: ProcessingRequest) => void> = {
    request_headers: ({ request_headers }) => {
      if (request_headers?.end_of_stream === true) stream.write(picked());
    },
    request_body: ({ request_body }) => {
      if (request_body === undefined) return;
      pieces.push(request_body.body);
      if (request_body.end_of_stream) flush(true);
    },
    request_trailers: () => {
      flush(false);
      stream.write({ request_trailers: {} });
    },
    response_headers: () => stream.write({ response_headers: {} }),
    response_body: ({ response_body }) => {
      if (response_body !== undefined)
        sendBody(stream, 'response_body', response_body.body, response_body.end_of_stream);
    },
    response_trailers: () => stream.write({ response_trailers: {} }),
  };
  stream.on('data', (message: ProcessingRequest) => take[message.request ?? '']?.(message));
  stream.on('end', () => stream.end());
  stream.on('error', () => undefined);
}

const file = fileURLToPath(new URL('./ext_proc.proto', import.meta.url));
const definition = loadPackageDefinition(loadSync(file, { keepCase: true, oneofs: true, defaults: true }));
const service = 'envoy.service.ext_proc.v3.ExternalProcessor'
  .split('.')
  .reduce((found: object, name) => Reflect.get(found, name) as object, definition) as { service: never };
const server = new Server({ 'grpc.max_concurrent_streams': 1_000_000, 'grpc-node.max_session_memory': 2000 });
server.addService(service.service, { Process: accept });
server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
  if (error !== null) throw error;
  console.log(JSON.stringify({ level: 'info', msg: 'listening', server: 'epp', address: `127.0.0.1:${bound}` }));
});
