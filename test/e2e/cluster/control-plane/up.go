package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// controlPlane is what one run has: a folder, etcd in this process, the components as children.
type controlPlane struct {
	dir         string
	bind        net.IP
	port        string
	server      string
	authority   *authority
	admin       pair
	client      *http.Client
	etcdURL     string
	apiServer   *process
	controllers *process
	// nil without a node.
	node *node
}

// ready is the one line that up prints.
type ready struct {
	Server       string `json:"server"`
	Kubeconfig   string `json:"kubeconfig"`
	Control      string `json:"control"`
	AuditLog     string `json:"auditLog"`
	PID          int    `json:"pid"`
	APIServerPID int    `json:"apiServerPid"`
	ReadyMs      int64  `json:"readyMs"`
}

// up starts everything, prints one JSON line when the control plane is ready, and ends on SIGTERM or SIGINT, or when
// stdin closes: whoever started it is gone then.
func up(args []string) error {
	began := time.Now()
	flags := flag.NewFlagSet("up", flag.ExitOnError)
	dir := flags.String("dir", "", "a fresh folder for certificates, etcd's data, logs and the control socket")
	bind := flags.String("bind", "127.0.0.1", "where the API server listens")
	var node nodeFlags
	node.define(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	address := net.ParseIP(*bind)
	if *dir == "" || address == nil {
		return errors.New("up needs -dir DIR, and -bind must be an IP address")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()

	plane := &controlPlane{dir: *dir, bind: address}
	if node.wanted {
		if address.IsLoopback() {
			return errors.New("a node needs -bind with an address that is not loopback's: pods must reach it")
		}
		plane.node = newNode(plane, node)
	}
	if err := plane.certificates(); err != nil {
		return err
	}
	if plane.node != nil {
		if err := plane.node.prepare(); err != nil {
			return err
		}
	}
	etcd, err := plane.startEtcd()
	if err != nil {
		return err
	}
	defer etcd.Close()
	defer plane.end()
	if err := plane.startAll(ctx); err != nil {
		return err
	}
	control, err := plane.control(plane.path("control.sock"))
	if err != nil {
		return err
	}
	defer control.Close()
	if err := json.NewEncoder(os.Stdout).Encode(ready{
		Server: plane.server, Kubeconfig: plane.path("admin.kubeconfig"), Control: plane.path("control.sock"),
		AuditLog: plane.path("audit.log"), PID: os.Getpid(), APIServerPID: plane.apiServer.pid(),
		ReadyMs: time.Since(began).Milliseconds(),
	}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// startAll starts the control plane, and meanwhile what of the node needs none.
func (c *controlPlane) startAll(ctx context.Context) error {
	if c.node == nil {
		return c.startComponents(ctx)
	}
	runtime := make(chan error, 1)
	go func() { runtime <- c.node.startRuntime(ctx) }()
	if err := errors.Join(c.startComponents(ctx), <-runtime); err != nil {
		return err
	}
	return c.node.start(ctx)
}

func (c *controlPlane) path(name string) string { return filepath.Join(c.dir, name) }

func (c *controlPlane) write(files map[string][]byte) error {
	for name, content := range files {
		if err := os.WriteFile(c.path(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (c *controlPlane) certificates() error {
	port, err := freePort(c.bind)
	if err != nil {
		return err
	}
	c.port, c.server = port, "https://"+net.JoinHostPort(c.bind.String(), port)
	if c.authority, err = newAuthority(); err != nil {
		return err
	}
	serving, err := c.authority.issue("kube-apiserver", nil, c.bind, net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1))
	if err != nil {
		return err
	}
	if c.admin, err = c.authority.issue("admin", []string{"system:masters"}); err != nil {
		return err
	}
	controllers, err := c.authority.issue("system:kube-controller-manager", nil)
	if err != nil {
		return err
	}
	tokens, err := c.authority.issue("service-accounts", nil)
	if err != nil {
		return err
	}
	publicKey, err := publicKeyOf(tokens)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.authority.certificate)
	own, err := tls.X509KeyPair(c.admin.certificate, c.admin.key)
	if err != nil {
		return err
	}
	c.client = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{own}},
	}}
	return c.write(map[string][]byte{
		"ca.crt":                 c.authority.pem,
		"apiserver.crt":          serving.certificate,
		"apiserver.key":          serving.key,
		"service-accounts.key":   tokens.key,
		"service-accounts.pub":   publicKey,
		"admin.kubeconfig":       c.authority.kubeconfig(c.server, c.admin),
		"controllers.kubeconfig": c.authority.kubeconfig(c.server, controllers),
		"audit.yaml":             []byte(auditPolicy),
	})
}

func publicKeyOf(p pair) ([]byte, error) {
	block, _ := pem.Decode(p.key)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	return encode("PUBLIC KEY", der), err
}

// startEtcd runs etcd in this process, so that it lives on when the API server is killed. It does not wait for the
// disk: the data need not survive a power cut.
func (c *controlPlane) startEtcd() (*embed.Etcd, error) {
	client, err := loopbackURL()
	if err != nil {
		return nil, err
	}
	peer, err := loopbackURL()
	if err != nil {
		return nil, err
	}
	config := embed.NewConfig()
	config.Dir, config.LogLevel, config.UnsafeNoFsync = c.path("etcd"), "error", true
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	c.etcdURL = client.String()
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	<-etcd.Server.ReadyNotify()
	return etcd, nil
}

func loopbackURL() (url.URL, error) {
	port, err := freePort(net.IPv4(127, 0, 0, 1))
	return url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", port)}, err
}

// freePort is a port that nobody listens on now; the components cannot take port 0 and tell which they got.
func freePort(address net.IP) (string, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(address.String(), "0"))
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}
