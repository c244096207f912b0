package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// auditPolicy has who asked for what, without bodies: the suites count the requests of one client. The control
// plane's own are left out.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: ["system:serviceaccounts:kube-system"]
- level: None
  users: ["system:kube-controller-manager", "system:apiserver"]
- level: None
  nonResourceURLs: ["/readyz*", "/livez*"]
- level: Metadata
`

// startLimit is how long a component may take to become ready on a busy machine.
const startLimit = 2 * time.Minute

// activeControllers are all but those that act on nodes: without one, the pods of a test need no kubelet to live.
const activeControllers = "*,-node-lifecycle-controller,-pod-garbage-collector-controller,-taint-eviction-controller"

func (c *controlPlane) startComponents(ctx context.Context) error {
	active, forNode := activeControllers, []string(nil)
	if c.node != nil {
		active, forNode = "*", c.node.apiServerFlags()
	}
	c.apiServer = &process{name: "kube-apiserver", log: c.path("kube-apiserver.log"), args: append([]string{
		"--etcd-servers=" + c.etcdURL,
		"--bind-address=" + c.bind.String(), "--secure-port=" + c.port, c.endpointFlag(),
		"--tls-cert-file=" + c.path("apiserver.crt"), "--tls-private-key-file=" + c.path("apiserver.key"),
		"--cert-dir=" + c.dir, "--client-ca-file=" + c.path("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.path("service-accounts.pub"),
		"--service-account-signing-key-file=" + c.path("service-accounts.key"),
		"--service-cluster-ip-range=10.96.0.0/16",
		// A log that rotates would lose requests from the count.
		"--audit-policy-file=" + c.path("audit.yaml"), "--audit-log-path=" + c.path("audit.log"),
		"--audit-log-maxsize=4000",
		"--profiling=false",
	}, forNode...)}
	c.controllers = &process{name: "kube-controller-manager", log: c.path("kube-controller-manager.log"), args: []string{
		"--kubeconfig=" + c.path("controllers.kubeconfig"),
		"--leader-elect=false", "--secure-port=0", "--use-service-account-credentials=true",
		"--service-account-private-key-file=" + c.path("service-accounts.key"),
		"--root-ca-file=" + c.path("ca.crt"), "--controllers=" + active,
	}}
	if err := c.startAPIServer(); err != nil {
		return err
	}
	if err := c.controllers.start(); err != nil {
		return err
	}
	// The first service account shows that the controllers work; a namespace is of no use before it has one.
	return c.await(ctx, c.controllers, "/api/v1/namespaces/default/serviceaccounts/default")
}

// endpointFlag: a loopback address cannot be the endpoint of the Service "kubernetes"; another one must be.
func (c *controlPlane) endpointFlag() string {
	if c.bind.IsLoopback() {
		return "--endpoint-reconciler-type=none"
	}
	return "--advertise-address=" + c.bind.String()
}

// startAPIServer starts it on the port it had before, and returns when it is ready.
func (c *controlPlane) startAPIServer() error {
	if err := c.apiServer.start(); err != nil {
		return err
	}
	return c.await(context.Background(), c.apiServer, "/readyz")
}

// await asks until the path answers 200, and gives up when the process is gone, so that a wrong flag shows at once.
func (c *controlPlane) await(ctx context.Context, p *process, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for ctx.Err() == nil && p.alive() {
		if c.answers(path) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("%s did not become ready (see %s)", p.name, p.log)
}

func (c *controlPlane) answers(path string) bool {
	answer, err := c.client.Get(c.server + path)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// end kills the components; one that a suite has killed already is no fault.
func (c *controlPlane) end() {
	if c.node != nil {
		c.node.end()
	}
	for _, p := range []*process{c.controllers, c.apiServer} {
		if p != nil && p.alive() {
			_ = p.kill()
		}
	}
}
