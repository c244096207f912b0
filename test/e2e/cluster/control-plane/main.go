// control-plane: etcd, kube-apiserver and kube-controller-manager in one binary, for the cluster suites.
//
//	control-plane up -dir DIR      start all three on loopback; see up.go
//	control-plane kube-apiserver | kube-controller-manager FLAGS...   the plain component
//
// It is one binary because the components share most of their code, and because the supervisor can then start
// them again without being told where they are.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
}

func main() {
	if len(os.Args) < 2 {
		fail("usage: control-plane up -dir DIR")
	}
	name, args := os.Args[1], os.Args[2:]
	if name == "up" {
		if err := up(args); err != nil {
			fail(err.Error())
		}
		return
	}
	component, known := components[name]
	if !known {
		fail(fmt.Sprintf("unknown command %q; there are up, kube-apiserver, kube-controller-manager", name))
	}
	os.Args = append([]string{name}, args...)
	os.Exit(cli.Run(component()))
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "control-plane: "+message)
	os.Exit(1)
}
