package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	core "k8s.io/client-go/listers/core/v1"
	slices "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// zone is what names of Services end with.
const zone = ".svc.cluster.local."

// most is how many addresses fit into an answer over UDP.
const most = 24

// names answers for the Services of a cluster, as its DNS specification has it, as far as tests need it: addresses of
// Services, of the ready endpoints of headless ones and of those by their host name. Nothing is asked of anybody else.
type names struct {
	services  core.ServiceLister
	endpoints slices.EndpointSliceLister
}

// serveNames is the command `dns KUBECONFIG ADDRESS`: it answers over UDP until it is killed.
func serveNames(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: dns KUBECONFIG ADDRESS")
	}
	config, err := clientcmd.BuildConfigFromFlags("", args[0])
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	names := &names{factory.Core().V1().Services().Lister(), factory.Discovery().V1().EndpointSlices().Lister()}
	factory.Start(context.Background().Done())
	factory.WaitForCacheSync(context.Background().Done())
	connection, err := net.ListenPacket("udp", args[1])
	if err != nil {
		return err
	}
	buffer := make([]byte, 1500)
	for {
		length, from, err := connection.ReadFrom(buffer)
		if err != nil {
			return err
		}
		// What is no question gets no answer.
		if answer, err := names.answer(buffer[:length]); err == nil {
			_, _ = connection.WriteTo(answer, from)
		}
	}
}

func (n *names) answer(request []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(request)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	addresses, known := n.addresses(strings.ToLower(question.Name.String()))
	header = dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired}
	if !known {
		header.RCode = dnsmessage.RCodeNameError
	}
	message := dnsmessage.Message{Header: header, Questions: []dnsmessage.Question{question}}
	if question.Type == dnsmessage.TypeA {
		for _, address := range addresses[:min(len(addresses), most)] {
			// They are IPv4: the cluster has no other.
			body := &dnsmessage.AResource{A: [4]byte(net.ParseIP(address).To4())}
			head := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: uint32(ttl.Seconds())}
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: head, Body: body})
		}
	}
	return message.Pack()
}

// ttl is CoreDNS's for names of a cluster.
const ttl = 5 * time.Second

// addresses are those of a name; a Service without endpoints is known and has none.
func (n *names) addresses(name string) (addresses []string, known bool) {
	path, ours := strings.CutSuffix(name, zone)
	parts := strings.Split(path, ".")
	if !ours || len(parts) < 2 || len(parts) > 3 {
		return nil, false
	}
	service, namespace := parts[len(parts)-2], parts[len(parts)-1]
	found, err := n.services.Services(namespace).Get(service)
	if err != nil {
		return nil, false
	}
	if len(parts) == 3 {
		addresses = n.ready(namespace, service, parts[0])
		return addresses, len(addresses) > 0
	}
	if found.Spec.ClusterIP != "None" {
		return []string{found.Spec.ClusterIP}, true
	}
	return n.ready(namespace, service, ""), true
}

// ready are the addresses of a Service's ready endpoints: all, or those of a host name.
func (n *names) ready(namespace, service, hostname string) (addresses []string) {
	selector := labels.SelectorFromSet(labels.Set{discovery.LabelServiceName: service})
	// A lister of a cache has no errors.
	found, _ := n.endpoints.EndpointSlices(namespace).List(selector)
	for _, slice := range found {
		for _, endpoint := range slice.Endpoints {
			ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
			named := hostname == "" || (endpoint.Hostname != nil && *endpoint.Hostname == hostname)
			if ready && named && slice.AddressType == discovery.AddressTypeIPv4 {
				addresses = append(addresses, endpoint.Addresses...)
			}
		}
	}
	return addresses
}
