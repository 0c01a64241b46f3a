// Package lab runs a whole dual-stack Kubernetes cluster on one Linux machine, without Docker and without touching the
// machine's own network. `make lab-up` and `make demo` start one by hand, end-to-end tests and benchmarks by Up.
//
//	                         machine (kubectl)
//	                            │ fl-… (link-local)
//	                     ┌──────┴──────┐
//	                     │   control   │ etcd, API server,
//	                     │     .2      │ controller manager, scheduler
//	                     └──────┬──────┘
//	 172.30.0.0/24, fd30::/64   │
//	─────┬──────────┬───────────┼──────────┬────────────┬────────────┬──────  segment "nodes"
//	┌────┴───┐  ┌───┴────┐  ┌───┴────┐ ┌───┴────┐  ┌────┴─────┐ ┌────┴─────┐
//	│ client │  │ node-1 │  │ node-2 │ │ node-3 │… │ router-1 │ │ router-2 │
//	│   .3   │  │  .11   │  │  .12   │ │  .13   │  │  .1, FRR │ │ .4, BIRD │
//	└────────┘  └────────┘  └────────┘ └────────┘  └────┬─────┘ └────┬─────┘
//	            containerd, kubelet, kube-proxy each    │            │ 172.31.0.0/24, fd31::/64
//	                                                  ──┴─────┬──────┴──  segment "far"
//	                                                    ┌─────┴──────┐
//	                                                    │ far-client │
//	                                                    │     .2     │
//	                                                    └────────────┘
//
// IPv6 addresses end like the IPv4 ones: node-1 is fd30::11. Node N has the pods 10.244.N.0/24 and fd44:0:0:N::/64, and all
// forwarding hosts and the control plane route them. Addresses for load balancers are free on the nodes' segment:
// ExternalV4 and ExternalV6. No name service runs, and nothing outside can be reached, so nodes know only the images
// that LoadImage gave them, and PauseImage and WebImage.
//
// Default routes lead over both routers, each connection over one. They only forward until StartRouters has them speak BGP:
// FRR and BIRD, configured as a network engineer would. Paths and BFDUp report what they have then, in their own
// words, and by Forwards, as their kernels see it.
//
// # What a lab is made of
//
// A host is a network, a UTS and a mount namespace. Segments are bridges in one more namespace, the fabric, which holds
// the far end of each cable as a port HOST.INTERFACE. Kubernetes and etcd are built from the modules in kubernetes and
// etcd, once, into a cache; containerd, runc and the CNI plugins are the machine's, and installed if it is a Debian.
//
// # How it ends
//
// Every process of a lab lives in one process namespace, whose first process is the lab's anchor: a copy of the program
// that called Up, caught by Init. The anchor starts and ends components when asked through its socket. When it dies, for
// whatever reason, the kernel kills all others, gives back their mounts, and with those the network namespaces. So there
// is no list of things to tear down that a crash could interrupt. Unless the lab is detached the anchor ends when its
// creator does: the end of a pipe between them tells it, even after kill -9.
//
// Two kinds of things are not bound to processes, cgroups and files, and both carry the lab's name. Down removes them; so
// does the next Up, which holds a lock that the anchor of a living lab would have.
//
// On the machine itself a lab changes one thing for good: it raises fs.inotify.max_user_instances to 1024 if it is less.
//
// # Where things are
//
// All files are in /var/lib/fairlead-lab/NAME: kubeconfig, logs/COMPONENT.log (as in logs/node-1/kubelet.log), a folder for
// each node with its configuration and containerd.sock. They go with the lab.
package lab
