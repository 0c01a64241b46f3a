//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
)

// DefaultName is the name of the lab that `make lab-up` starts.
const DefaultName = "fairlead"

// ProxyMode is the mode of every node's kube-proxy.
type ProxyMode string

// The proxy modes that a lab can run.
const (
	NFTables ProxyMode = "nftables"
	IPTables ProxyMode = "iptables"
)

// The minors of Kubernetes that a lab can run: the newest that Fairlead is built with, and the oldest that it supports.
const (
	Newest = "1.36"
	Oldest = "1.31"
)

// kubernetesModules are the nested modules of the minors, in folders beside this file.
var kubernetesModules = map[string]string{Newest: "kubernetes", Oldest: "kubernetes-" + Oldest}

// Options say which lab is meant and, for Up, what it is made of.
type Options struct {
	// Name tells labs on one machine apart: DefaultName unless given.
	Name string
	// Nodes is how many nodes there are: three unless given.
	Nodes int
	// ProxyMode is NFTables unless given.
	ProxyMode ProxyMode
	// Kubernetes is a minor: Newest unless given.
	Kubernetes string
	// Detached makes the lab outlive the process that started it.
	Detached bool
	// Log receives a line for each step: nothing is written unless given.
	Log io.Writer
}

// A name is part of socket paths, which end at 107 bytes, and of cgroup names.
var nameSyntax = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

func (o Options) complete() (Options, error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.ProxyMode == "" {
		o.ProxyMode = NFTables
	}
	if o.Kubernetes == "" {
		o.Kubernetes = Newest
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o, o.validate()
}

func (o Options) validate() error {
	var problems []error
	if !nameSyntax.MatchString(o.Name) {
		problems = append(problems, fmt.Errorf("lab name %q: use up to 32 of a-z, 0-9 and -", o.Name))
	}
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		problems = append(problems, fmt.Errorf("%d nodes: use 1 to %d", o.Nodes, MaxNodes))
	}
	if o.ProxyMode != NFTables && o.ProxyMode != IPTables {
		problems = append(problems, fmt.Errorf("proxy mode %q: use %s or %s", o.ProxyMode, NFTables, IPTables))
	}
	if kubernetesModules[o.Kubernetes] == "" {
		problems = append(problems, fmt.Errorf("minor %q of Kubernetes: use %s or %s", o.Kubernetes, Newest, Oldest))
	}
	return errors.Join(problems...)
}

func (o Options) logf(format string, args ...any) {
	fmt.Fprintf(o.Log, format+"\n", args...)
}

var errNotRoot = errors.New("the lab makes network namespaces, mounts and cgroups: run it as root")

func requireRoot() error {
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	return nil
}
