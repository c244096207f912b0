// The messages in protobuf's own language and an independent codec made of it, to hold ours against. Written anew from
// envoy/service/ext_proc/v3/external_processor.proto, envoy/config/core/v3/base.proto and google/protobuf/struct.proto,
// with every field that matters to us and some that do not.
import protobuf from 'protobufjs';

const source = `
syntax = "proto3";
package t;

message Struct { map<string, Value> fields = 1; }
message ListValue { repeated Value values = 1; }
message Value {
  oneof kind {
    int32 null_value = 1;
    double number_value = 2;
    string string_value = 3;
    bool bool_value = 4;
    Struct struct_value = 5;
    ListValue list_value = 6;
  }
}

message HeaderValue { string key = 1; string value = 2; bytes raw_value = 3; }
message HeaderMap { repeated HeaderValue headers = 1; }
message BoolValue { bool value = 1; }
message HeaderValueOption {
  HeaderValue header = 1;
  BoolValue append = 2;
  int32 append_action = 3;
  bool keep_empty_value = 4;
}
message Any { string type_url = 1; bytes value = 2; }
message Metadata { map<string, Struct> filter_metadata = 1; map<string, Any> typed_filter_metadata = 2; }

message HttpHeaders { HeaderMap headers = 1; map<string, Struct> attributes = 2; bool end_of_stream = 3; }
message HttpBody { bytes body = 1; bool end_of_stream = 2; }
message HttpTrailers { HeaderMap trailers = 1; }
message ProtocolConfiguration { int32 request_body_mode = 1; int32 response_body_mode = 2; bool send_body_without_waiting_for_header_response = 3; }

message ProcessingRequest {
  oneof request {
    HttpHeaders request_headers = 2;
    HttpHeaders response_headers = 3;
    HttpBody request_body = 4;
    HttpBody response_body = 5;
    HttpTrailers request_trailers = 6;
    HttpTrailers response_trailers = 7;
  }
  Metadata metadata_context = 8;
  map<string, Struct> attributes = 9;
  bool observability_mode = 10;
  ProtocolConfiguration protocol_config = 11;
  fixed64 unknown_to_us = 100;
  fixed32 unknown_too = 2000;
}

message HeaderMutation { repeated HeaderValueOption set_headers = 1; repeated string remove_headers = 2; }
message StreamedBodyResponse { bytes body = 1; bool end_of_stream = 2; }
message BodyMutation { oneof mutation { bytes body = 1; bool clear_body = 2; StreamedBodyResponse streamed_response = 3; } }
message CommonResponse {
  int32 status = 1;
  HeaderMutation header_mutation = 2;
  BodyMutation body_mutation = 3;
  HeaderMap trailers = 4;
  bool clear_route_cache = 5;
}
message HeadersResponse { CommonResponse response = 1; }
message BodyResponse { CommonResponse response = 1; }
message TrailersResponse { HeaderMutation header_mutation = 1; }
message HttpStatus { int32 code = 1; }
message GrpcStatus { uint32 status = 1; }
message ImmediateResponse {
  HttpStatus status = 1;
  HeaderMutation headers = 2;
  bytes body = 3;
  GrpcStatus grpc_status = 4;
  string details = 5;
}
message ProcessingResponse {
  oneof response {
    HeadersResponse request_headers = 1;
    HeadersResponse response_headers = 2;
    BodyResponse request_body = 3;
    BodyResponse response_body = 4;
    TrailersResponse request_trailers = 5;
    TrailersResponse response_trailers = 6;
    ImmediateResponse immediate_response = 7;
  }
  Struct dynamic_metadata = 8;
}
`;

const { root } = protobuf.parse(source, { keepCase: true });

/** Both messages in protobufjs' hands; fields keep the names of the .proto. */
export const ProcessingRequestType = root.lookupType('t.ProcessingRequest');
export const ProcessingResponseType = root.lookupType('t.ProcessingResponse');

/** Reads a ProcessingResponse as plain JSON, bytes as latin1 text; fields that are not set are not there. */
export function readResponse(message: Uint8Array): unknown {
  const plain = ProcessingResponseType.toObject(ProcessingResponseType.decode(message));
  return JSON.parse(
    JSON.stringify(plain, (_key, value: unknown) => {
      if (isSerializedBuffer(value)) return Buffer.from(value.data).toString('latin1');
      return value;
    }),
  );
}

function isSerializedBuffer(value: unknown): value is { data: number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer' && 'data' in value;
}
