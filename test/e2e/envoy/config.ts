/** Which of Envoy's ways a test wants; what is left out is as in docs/guides. */
export interface EnvoyOptions {
  /** `host:port` of the picker. */
  readonly picker: string;
  /** `host:port` of all engines that may ever be picked. */
  readonly engines: readonly string[];
  /** What becomes of requests while the picker is away: refused (default) or sent anywhere. */
  readonly failureMode?: 'FailClose' | 'FailOpen';
  /** Status of what is refused because of the picker; Envoy's own is 500. */
  readonly statusOnError?: number;
  /** Whether the picker speaks TLS. */
  readonly tls?: boolean;
  /** Requests in flight at most, to the picker and to engines; Envoy's own limit is 1,024. */
  readonly limit?: number;
  /** Further endpoints of the pick's list that are tried when an engine cannot be reached; default 0. */
  readonly retries?: number;
  /** Seconds without an answer to a ping after which the connection with the picker is given up; default never. */
  readonly pingTimeout?: number;
  /** Metadata `envoy.lb.subset_hint` of all requests. */
  readonly subset?: string | readonly string[];
  readonly concurrency?: number;
  /** `host:port` of a collector that Envoy sends its spans to; default none. */
  readonly collector?: string;
}

type Json = object;

const type = (name: string): string => `type.googleapis.com/envoy.${name}`;
const extension = (name: string, message: string, fields: Json = {}): Json => ({
  name: `envoy.${name}`,
  typed_config: { '@type': type(message), ...fields },
});

const destination = 'x-gateway-destination-endpoint';

/** Envoy's configuration, with port 0 for its own listeners. */
export function envoyConfig(options: EnvoyOptions): Json {
  return {
    admin: { address: socketAddress('127.0.0.1:0') },
    static_resources: {
      listeners: [listener(options)],
      clusters: [
        pickerCluster(options),
        engineCluster(options),
        ...(options.collector === undefined ? [] : [cluster('collector', [options.collector], undefined)]),
      ],
    },
  };
}

function listener(options: EnvoyOptions): Json {
  const manager = extension(
    'filters.network.http_connection_manager',
    'extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    {
      stat_prefix: 'ingress',
      codec_type: 'AUTO',
      stream_idle_timeout: '0s',
      http_protocol_options: { enable_trailers: true },
      http2_protocol_options: { max_concurrent_streams: options.limit ?? 1024 },
      route_config: { name: 'r', virtual_hosts: [{ name: 'v', domains: ['*'], routes: [route(options)] }] },
      ...(options.collector === undefined ? {} : { tracing: tracing(options.collector) }),
      http_filters: [
        ...(options.subset === undefined ? [] : [subsetFilter(options.subset)]),
        picking(options),
        extension('filters.http.router', 'extensions.filters.http.router.v3.Router'),
      ],
    },
  );
  return { name: 'http', address: socketAddress('127.0.0.1:0'), filter_chains: [{ filters: [manager] }] };
}

/** Envoy's own spans, by OTLP/HTTP; all of them, whatever a client's context says of sampling. */
function tracing(collector: string): Json {
  const provider = extension('tracers.opentelemetry', 'config.trace.v3.OpenTelemetryConfig', {
    service_name: 'envoy',
    http_service: { http_uri: { uri: `http://${collector}/v1/traces`, cluster: 'collector', timeout: '1s' } },
  });
  return { random_sampling: { value: 100 }, spawn_upstream_span: true, provider };
}

function route({ retries = 0 }: EnvoyOptions): Json {
  // override_host takes the next of the list at each further try.
  const retryPolicy = {
    retry_on: 'connect-failure,refused-stream,reset-before-request',
    num_retries: retries,
    retry_back_off: { base_interval: '0.005s', max_interval: '0.05s' },
  };
  return {
    match: { prefix: '/' },
    route: {
      cluster: 'inference',
      timeout: '0s',
      idle_timeout: '0s',
      ...(retries === 0 ? {} : { retry_policy: retryPolicy }),
    },
  };
}

/** What a gateway writes down for a picker: whom it may pick. */
function subsetFilter(subset: string | readonly string[]): Json {
  return extension('filters.http.set_metadata', 'extensions.filters.http.set_metadata.v3.Config', {
    metadata: [
      {
        metadata_namespace: 'envoy.lb.subset_hint',
        value: { 'x-gateway-destination-endpoint-subset': subset },
        allow_overwrite: true,
      },
    ],
  });
}

function picking({ failureMode = 'FailClose', statusOnError }: EnvoyOptions): Json {
  return extension('filters.http.ext_proc', 'extensions.filters.http.ext_proc.v3.ExternalProcessor', {
    failure_mode_allow: failureMode === 'FailOpen',
    ...(statusOnError === undefined ? {} : { status_on_error: { code: statusOnError } }),
    message_timeout: '1000s',
    processing_mode: {
      request_header_mode: 'SEND',
      request_body_mode: 'FULL_DUPLEX_STREAMED',
      request_trailer_mode: 'SEND',
      response_header_mode: 'SEND',
      response_body_mode: 'FULL_DUPLEX_STREAMED',
      response_trailer_mode: 'SEND',
    },
    mutation_rules: { allow_all_routing: true },
    metadata_options: {
      forwarding_namespaces: { untyped: ['envoy.lb', 'envoy.lb.subset_hint'] },
      receiving_namespaces: { untyped: ['envoy.lb'] },
    },
    grpc_service: { envoy_grpc: { cluster_name: 'ext_proc' } },
  });
}

function pickerCluster({ picker, tls, limit, pingTimeout }: EnvoyOptions): Json {
  const http2 = {
    // A call that ends costs Envoy a control frame; it gives its connection up, and all calls on it, when 1,000 of them
    // wait to be sent.
    ...(limit === undefined
      ? {}
      : { max_concurrent_streams: limit, max_outbound_control_frames: 10 * limit, max_outbound_frames: 100 * limit }),
    ...(pingTimeout === undefined
      ? {}
      : { connection_keepalive: { interval: `${pingTimeout}s`, timeout: `${pingTimeout}s` } }),
  };
  return {
    ...cluster('ext_proc', [picker], limit),
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': type('extensions.upstreams.http.v3.HttpProtocolOptions'),
        explicit_http_config: { http2_protocol_options: http2 },
      },
    },
    ...(tls === true ? { transport_socket: tlsSocket() } : {}),
  };
}

/** The picker's certificate signs itself: gateways take it as it is. */
function tlsSocket(): Json {
  return extension('transport_sockets.tls', 'extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
    common_tls_context: { alpn_protocols: ['h2'] },
  });
}

function engineCluster({ engines, limit }: EnvoyOptions): Json {
  const roundRobin = extension(
    'load_balancing_policies.round_robin',
    'extensions.load_balancing_policies.round_robin.v3.RoundRobin',
  );
  const override = extension(
    'load_balancing_policies.override_host',
    'extensions.load_balancing_policies.override_host.v3.OverrideHost',
    {
      override_host_sources: [{ header: destination }, { metadata: { key: 'envoy.lb', path: [{ key: destination }] } }],
      fallback_policy: { policies: [{ typed_extension_config: roundRobin }] },
    },
  );
  return {
    ...cluster('inference', engines, limit),
    load_balancing_policy: { policies: [{ typed_extension_config: override }] },
  };
}

function cluster(name: string, addresses: readonly string[], limit: number | undefined): Json {
  const most = limit ?? 1024;
  const thresholds = [{ max_connections: most, max_pending_requests: most, max_requests: most, max_retries: most }];
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    ...(limit === undefined ? {} : { circuit_breakers: { thresholds } }),
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: addresses.map((address) => ({ endpoint: { address: socketAddress(address) } })) }],
    },
  };
}

function socketAddress(address: string): Json {
  const colon = address.lastIndexOf(':');
  return { socket_address: { address: address.slice(0, colon), port_value: Number(address.slice(colon + 1)) } };
}
