package main

import (
	"net"
	"net/http"
	"syscall"
)

// control answers on a Unix socket, so that every worker of a test run, not only the one that started the control
// plane, can take the API server away and bring it back:
//
//	POST /apiserver/{kill,start,freeze,thaw}
//
// Each answers when it is done (start: when the API server is ready), 409 with the reason when it cannot be.
func (c *controlPlane) control(socket string) (*http.Server, error) {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	serve := func(path string, act func() error) {
		mux.HandleFunc("POST "+path, func(answer http.ResponseWriter, _ *http.Request) {
			if err := act(); err != nil {
				http.Error(answer, err.Error(), http.StatusConflict)
			}
		})
	}
	serve("/apiserver/kill", c.apiServer.kill)
	serve("/apiserver/start", c.startAPIServer)
	serve("/apiserver/freeze", func() error { return c.apiServer.signal(syscall.SIGSTOP) })
	serve("/apiserver/thaw", func() error { return c.apiServer.signal(syscall.SIGCONT) })
	server := &http.Server{Handler: mux}
	// It ends when up closes it.
	go func() { _ = server.Serve(listener) }()
	return server, nil
}
