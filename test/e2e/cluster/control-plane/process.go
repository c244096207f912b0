package main

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// A process is one component as a child of this one. It can be killed and started again with the same arguments:
// that is how a suite takes the API server away while etcd keeps its data.
type process struct {
	name string
	args []string
	log  string
	// A program of the PATH in place of a component of this binary.
	program string

	mutex   sync.Mutex
	running *exec.Cmd
	ended   chan struct{}
}

func (p *process) start() error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.running != nil {
		return fmt.Errorf("%s is running already", p.name)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command("/proc/self/exe", append([]string{p.name}, p.args...)...)
	if p.program != "" {
		command = exec.Command(p.program, p.args...)
	}
	command.Stdout, command.Stderr = log, log
	// Nothing is left behind when this process is killed and cannot clean up.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	p.running, p.ended = command, ended
	go p.reap(command, ended)
	return nil
}

func (p *process) reap(command *exec.Cmd, ended chan struct{}) {
	// How it ended is in its log; whoever waits for it to be ready sees that it is gone.
	_ = command.Wait()
	p.mutex.Lock()
	p.running = nil
	p.mutex.Unlock()
	close(ended)
}

// signal sends a signal; a process that is not running is an error, for the suite would wait for nothing.
func (p *process) signal(signal syscall.Signal) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.running == nil {
		return fmt.Errorf("%s is not running (see %s)", p.name, p.log)
	}
	return p.running.Process.Signal(signal)
}

// kill returns when the process is gone and its port is free.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

func (p *process) alive() bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.running != nil
}

func (p *process) pid() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.running == nil {
		return 0
	}
	return p.running.Process.Pid
}
