// Takes spans by OTLP/HTTP as the OpenTelemetry collector does, by the collector's own decoder, and tells what it has
// got. What is not as the protocol wants it is refused and told, too.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// A span as the tests read it: ids in hex, times in nanoseconds as text, since JSON's numbers do not hold them.
type span struct {
	TraceID    string         `json:"traceId"`
	SpanID     string         `json:"spanId"`
	ParentID   string         `json:"parentId"`
	TraceState string         `json:"traceState"`
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`
	Start      string         `json:"start"`
	End        string         `json:"end"`
	Status     string         `json:"status"`
	Message    string         `json:"message"`
	Attributes map[string]any `json:"attributes"`
	Events     []event        `json:"events"`
	Resource   map[string]any `json:"resource"`
	Scope      string         `json:"scope"`
}

type event struct {
	Name       string         `json:"name"`
	Time       string         `json:"time"`
	Attributes map[string]any `json:"attributes"`
}

type receiver struct {
	mutex   sync.Mutex
	Spans   []span   `json:"spans"`
	Refused []string `json:"refused"`
	Headers []string `json:"headers"`
	Bytes   string   `json:"bytes"`
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("{\"address\":%q}\n", listener.Addr().String())
	own := &receiver{Spans: []span{}, Refused: []string{}, Headers: []string{}}
	http.HandleFunc("POST /v1/traces", own.take)
	http.HandleFunc("GET /got", own.tell)
	panic(http.Serve(listener, nil))
}

func (r *receiver) take(writer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	// What was sent, as it came: nothing that must not be written down may stand in it.
	r.Bytes += string(body)
	r.Headers = append(r.Headers, request.Header.Get("authorization"))
	export, answer := ptraceotlp.NewExportRequest(), ptraceotlp.NewExportResponse()
	var reply []byte
	kind := request.Header.Get("content-type")
	switch {
	case err != nil:
	case kind == "application/json":
		err = export.UnmarshalJSON(body)
		reply, _ = answer.MarshalJSON()
	case kind == "application/x-protobuf":
		err = export.UnmarshalProto(body)
		reply, _ = answer.MarshalProto()
	default:
		err = fmt.Errorf("content type %q", kind)
	}
	if err == nil {
		err = r.keep(export.Traces())
	}
	if err != nil {
		r.Refused = append(r.Refused, err.Error())
		http.Error(writer, err.Error(), http.StatusBadRequest)
		return
	}
	writer.Header().Set("content-type", kind)
	writer.Write(reply)
}

func (r *receiver) keep(traces ptrace.Traces) error {
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, one := range scope.Spans().All() {
				if err := check(one); err != nil {
					return err
				}
				r.Spans = append(r.Spans, read(one, resource.Resource().Attributes(), scope.Scope().Name()))
			}
		}
	}
	return nil
}

// What the collector leaves to its pipelines.
func check(one ptrace.Span) error {
	switch {
	case one.TraceID().IsEmpty() || one.SpanID().IsEmpty():
		return fmt.Errorf("the span %q has no id", one.Name())
	case one.Name() == "":
		return fmt.Errorf("a span without a name")
	case one.Kind() == ptrace.SpanKindUnspecified:
		return fmt.Errorf("the span %q has no kind", one.Name())
	case one.StartTimestamp() == 0 || one.EndTimestamp() < one.StartTimestamp():
		return fmt.Errorf("the span %q ends before it starts", one.Name())
	case one.DroppedAttributesCount()+one.DroppedEventsCount() > 0:
		return fmt.Errorf("the span %q has lost something", one.Name())
	}
	return nil
}

func read(one ptrace.Span, resource pcommon.Map, scope string) span {
	trace, id, parent := one.TraceID(), one.SpanID(), one.ParentSpanID()
	events := []event{}
	for _, own := range one.Events().All() {
		events = append(events, event{own.Name(), nanoseconds(own.Timestamp()), own.Attributes().AsRaw()})
	}
	found := span{
		TraceID: hex.EncodeToString(trace[:]), SpanID: hex.EncodeToString(id[:]), TraceState: one.TraceState().AsRaw(),
		Name: one.Name(), Kind: one.Kind().String(), Status: one.Status().Code().String(), Message: one.Status().Message(),
		Start: nanoseconds(one.StartTimestamp()), End: nanoseconds(one.EndTimestamp()),
		Attributes: one.Attributes().AsRaw(), Events: events, Resource: resource.AsRaw(), Scope: scope,
	}
	if !parent.IsEmpty() {
		found.ParentID = hex.EncodeToString(parent[:])
	}
	return found
}

func nanoseconds(at pcommon.Timestamp) string { return fmt.Sprint(uint64(at)) }

func (r *receiver) tell(writer http.ResponseWriter, _ *http.Request) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	writer.Header().Set("content-type", "application/json")
	json.NewEncoder(writer).Encode(r)
}
