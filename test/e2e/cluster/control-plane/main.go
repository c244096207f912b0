// control-plane: etcd, kube-apiserver and kube-controller-manager in one binary, for the cluster suites; and what a
// node needs beside containerd, for those of the box.
//
//	control-plane up -dir DIR            start all three on loopback; see up.go
//	control-plane up -dir DIR -node ...  and a node; see node.go
//	control-plane kube-apiserver | kube-controller-manager | kube-scheduler | kubelet | kube-proxy FLAGS...
//	                                     the plain component
//	control-plane dns KUBECONFIG ADDRESS the cluster's names; see dns.go
//
// It is one binary because the components share most of their code, and because the supervisor can then start
// them again without being told where they are.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kube-proxy":              proxy.NewProxyCommand,
}

var commands = map[string]func(args []string) error{"up": up, "dns": serveNames}

func main() {
	if len(os.Args) < 2 {
		fail("usage: control-plane up -dir DIR")
	}
	name, args := os.Args[1], os.Args[2:]
	if command, own := commands[name]; own {
		if err := command(args); err != nil {
			fail(err.Error())
		}
		return
	}
	component, known := components[name]
	if !known {
		fail(fmt.Sprintf("unknown command %q; there are up, dns and the components of Kubernetes", name))
	}
	os.Args = append([]string{name}, args...)
	os.Exit(cli.Run(component()))
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "control-plane: "+message)
	os.Exit(1)
}
