//go:build linux

package lab

import (
	"fmt"
	"hash/fnv"
	"path/filepath"
)

const stateRoot = "/var/lib/fairlead-lab"

// paths are a lab's files. All of them vanish with the lab but lock, which only outlives it while somebody waits for it.
type paths struct {
	name string
}

func (p paths) dir() string                   { return filepath.Join(stateRoot, p.name) }
func (p paths) lock() string                  { return p.dir() + ".lock" }
func (p paths) state() string                 { return p.in("state.json") }
func (p paths) anchorSocket() string          { return p.in("anchor.sock") }
func (p paths) kubeconfig() string            { return p.in("kubeconfig") }
func (p paths) pki(file string) string        { return p.in("pki", file) }
func (p paths) log(component string) string   { return p.in("logs", component+".log") }
func (p paths) namespaces() string            { return p.in("ns") }
func (p paths) containerd(node string) string { return p.in(node, "containerd.sock") }
func (p paths) in(parts ...string) string {
	return filepath.Join(append([]string{p.dir()}, parts...)...)
}

// namespace returns where the anchor's mount namespace holds a host's namespace of a kind ("net", "uts").
func (p paths) namespace(host, kind string) string {
	return filepath.Join(p.namespaces(), host+"."+kind)
}

// cgroup returns the parent cgroup of a node's containers, below each controller's root.
func (p paths) cgroup(node string) string { return "/" + p.cgroupPrefix() + node }

func (p paths) cgroupPrefix() string { return "fairlead-lab." + p.name + "." }

// hostLink is the name of the interface by which the machine itself reaches the control plane.
func (p paths) hostLink() string { return fmt.Sprintf("fl-%08x", p.hash()) }

func (p paths) hash() uint32 {
	h := fnv.New32a()
	h.Write([]byte(p.name))
	return h.Sum32()
}
