package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// nodeName is the name of the one node.
const nodeName = "box"

// pauseImage is what holds a pod's namespaces; it is one of the imported images.
const pauseImage = "localhost/pause:1"

// podRange and the bridge's name are seen in the network namespace of the box only.
const podRange = "10.244.1.0/24"

// nodeFlags are the flags of up that are about the node.
type nodeFlags struct {
	wanted     bool
	images     string
	plugins    string
	cgroupRoot string
}

func (f *nodeFlags) define(flags *flag.FlagSet) {
	flags.BoolVar(&f.wanted, "node", false, "also containerd (of the PATH), kubelet, scheduler, kube-proxy and DNS: to be run "+
		"as root in network, process and mount namespaces of its own")
	flags.StringVar(&f.images, "images", "", "OCI archives to import, separated by commas; one of them is "+pauseImage)
	flags.StringVar(&f.plugins, "cni", "/usr/lib/cni", "where the CNI plugins are")
	flags.StringVar(&f.cgroupRoot, "cgroup-root", "/", "pods' cgroups are made below this one, which must be there")
}

// A node is one machine of the cluster: this one. Its processes are children of this one, as the control plane's.
type node struct {
	plane     *controlPlane
	flags     nodeFlags
	socket    string
	processes []*process
}

func newNode(plane *controlPlane, flags nodeFlags) *node {
	return &node{plane: plane, flags: flags, socket: plane.path("containerd.sock")}
}

// apiServerFlags let the API server reach the kubelet, for logs, exec and port-forward.
func (n *node) apiServerFlags() []string {
	return []string{
		"--kubelet-client-certificate=" + n.plane.path("kubelet-client.crt"),
		"--kubelet-client-key=" + n.plane.path("kubelet-client.key"),
		"--kubelet-certificate-authority=" + n.plane.path("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
	}
}

// prepare writes the certificates and settings of the node's processes.
func (n *node) prepare() error {
	files := map[string][]byte{
		"containerd.toml":     []byte(n.runtimeConfig()),
		"kubelet.yaml":        []byte(n.kubeletConfig()),
		"cni/10-box.conflist": []byte(n.networkConfig()),
	}
	for _, user := range []struct {
		file, name string
		groups     []string
	}{
		{"scheduler", "system:kube-scheduler", nil},
		{"proxy", "system:kube-proxy", nil},
		{"kubelet", "system:node:" + nodeName, []string{"system:nodes"}},
		{"dns", "dns", []string{"system:masters"}},
	} {
		pair, err := n.plane.authority.issue(user.name, user.groups)
		if err != nil {
			return err
		}
		files[user.file+".kubeconfig"] = n.plane.authority.kubeconfig(n.plane.server, pair)
	}
	client, err := n.plane.authority.issue("kubelet-client", []string{"system:masters"})
	if err != nil {
		return err
	}
	serving, err := n.plane.authority.issue(nodeName, nil, n.plane.bind)
	if err != nil {
		return err
	}
	files["kubelet-client.crt"], files["kubelet-client.key"] = client.certificate, client.key
	files["kubelet.crt"], files["kubelet.key"] = serving.certificate, serving.key
	if err := os.MkdirAll(n.plane.path("cni"), 0o700); err != nil {
		return err
	}
	return n.plane.write(files)
}

func (n *node) run(p *process) error {
	p.log = n.plane.path(p.name + ".log")
	n.processes = append(n.processes, p)
	return p.start()
}

// startRuntime starts containerd and imports the images: nobody pulls any.
func (n *node) startRuntime(ctx context.Context) error {
	containerd := &process{name: "containerd", program: "containerd", args: []string{"-c", n.plane.path("containerd.toml")}}
	if err := n.run(containerd); err != nil {
		return fmt.Errorf("%w: a node needs containerd, runc, nft and the CNI plugins", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for ctx.Err() == nil && containerd.alive() {
		if connection, err := net.Dial("unix", n.socket); err == nil {
			connection.Close()
			return n.importImages(ctx)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("containerd did not become ready (see %s)", containerd.log)
}

func (n *node) importImages(ctx context.Context) error {
	for _, image := range strings.Split(n.flags.images, ",") {
		command := exec.CommandContext(ctx, "ctr", "-a", n.socket, "-n", "k8s.io", "images", "import", image)
		if said, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("the image %s was not imported: %w: %s", image, err, said)
		}
	}
	return nil
}

// start starts what needs the API server and returns when the node takes pods.
func (n *node) start(ctx context.Context) error {
	plane := n.plane
	proxy := &process{name: "kube-proxy", args: []string{
		"--kubeconfig=" + plane.path("proxy.kubeconfig"), "--proxy-mode=nftables", "--hostname-override=" + nodeName,
		"--cluster-cidr=" + podRange, "--bind-address=" + plane.bind.String(), "--conntrack-max-per-core=0",
	}}
	kubelet := &process{name: "kubelet", args: []string{
		"--kubeconfig=" + plane.path("kubelet.kubeconfig"), "--config=" + plane.path("kubelet.yaml"),
		"--hostname-override=" + nodeName, "--node-ip=" + plane.bind.String(),
		"--root-dir=" + plane.path("kubelet"), "--cert-dir=" + plane.path("kubelet-pki"),
	}}
	for _, p := range []*process{
		{name: "dns", args: []string{plane.path("dns.kubeconfig"), net.JoinHostPort(plane.bind.String(), "53")}},
		{name: "kube-scheduler", args: []string{
			"--kubeconfig=" + plane.path("scheduler.kubeconfig"), "--leader-elect=false", "--secure-port=0",
		}},
		proxy,
		kubelet,
	} {
		if err := n.run(p); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for ctx.Err() == nil {
		for _, p := range n.processes {
			if !p.alive() {
				return fmt.Errorf("%s has ended (see %s)", p.name, p.log)
			}
		}
		if n.ready() {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("the node did not become ready (see " + kubelet.log + ")")
}

// ready says whether pods are put on the node: its kubelet says that it is ready, and no taint says otherwise.
func (n *node) ready() bool {
	answer, err := n.plane.client.Get(n.plane.server + "/api/v1/nodes/" + nodeName)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	var node struct {
		Spec   struct{ Taints []struct{} }
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	if answer.StatusCode != http.StatusOK || json.NewDecoder(answer.Body).Decode(&node) != nil {
		return false
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" && condition.Status == "True" {
			return len(node.Spec.Taints) == 0
		}
	}
	return false
}

// end kills the node's processes. Containers are not theirs: they end with the process namespace.
func (n *node) end() {
	for _, p := range n.processes {
		if p.alive() {
			_ = p.kill()
		}
	}
}

// runtimeConfig keeps all of containerd in the run's folder; its fields are those of version 2, which newer ones read.
func (n *node) runtimeConfig() string {
	return fmt.Sprintf(`version = 2
root = %q
state = %q
[grpc]
  address = %q
[ttrpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
`, n.plane.path("containerd"), n.plane.path("containerd-state"), n.socket, n.socket+".ttrpc", pauseImage, n.flags.plugins,
		n.plane.path("cni"))
}

func (n *node) networkConfig() string {
	return fmt.Sprintf(`{
  "cniVersion": "0.4.0", "name": "box",
  "plugins": [{
    "type": "bridge", "bridge": "box0", "isGateway": true, "hairpinMode": true,
    "ipam": {
      "type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": %q
    }
  }]
}`, podRange, n.plane.path("addresses"))
}

// kubeletConfig: cgroups of version 1 will do, images are never collected, pods ask our own DNS, and a changed ConfigMap is in
// their volumes within seconds, not a minute or so.
func (n *node) kubeletConfig() string {
	plane := n.plane
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[2]q}
authorization: {mode: Webhook}
tlsCertFile: %[3]q
tlsPrivateKeyFile: %[4]q
containerRuntimeEndpoint: %[5]q
cgroupDriver: cgroupfs
cgroupRoot: %[6]q
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
evictionHard: {}
imageGCHighThresholdPercent: 100
makeIPTablesUtilChains: false
podLogsDir: %[7]q
volumePluginDir: %[8]q
clusterDomain: cluster.local
clusterDNS: [%[1]q]
resolvConf: ""
syncFrequency: 5s
`, plane.bind, plane.path("ca.crt"), plane.path("kubelet.crt"), plane.path("kubelet.key"), "unix://"+n.socket,
		n.flags.cgroupRoot, plane.path("pods"), plane.path("volume-plugins"))
}
