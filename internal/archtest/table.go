package archtest

// Module is the path that the packages of the table are relative to.
const Module = "github.com/fairlead-lb/fairlead"

// A Rule says what one package may import. Test files may import more: they are
// not judged, except that what they import must be in the table too.
type Rule struct {
	// Package relative to the module. A name that ends in /... stands for the
	// package and all below it.
	Package string
	// Ours are the packages of this module that it may import; "..." stands for all.
	Ours []string
	// Never are packages of others, the standard library's too, that it must
	// not import; each stands for all below it as well.
	Never []string
	// Only, where set, are the packages beyond the standard library's that it
	// may import; each stands for all below it as well.
	Only []string
}

// Families of packages that a pure or narrow package keeps away from.
var (
	kubernetes = []string{"k8s.io", "sigs.k8s.io"}
	clients    = []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime"}
	telling    = []string{"github.com/go-logr", "log", "k8s.io/klog", "github.com/prometheus"}
	concurrent = []string{"context", "sync", "golang.org/x/sync"}
	sockets    = []string{"github.com/google/nftables", "github.com/mdlayher", "github.com/vishvananda", "golang.org/x/sys", "github.com/osrg/gobgp"}
)

// Table is the whole architecture.
var Table = []Rule{
	// The objects, what they mean together, and the two decisions. All of it pure.
	{Package: "api/v1beta1", Only: []string{"k8s.io/apimachinery"}},
	{Package: "config", Ours: []string{"api/v1beta1"}, Never: join(clients, telling, concurrent, sockets)},
	{Package: "ipam", Ours: []string{"api/v1beta1", "config"}, Never: join(kubernetes, telling, concurrent, sockets)},
	{Package: "speaker/announce", Ours: []string{"api/v1beta1", "config"}, Never: join(kubernetes, telling, concurrent, sockets)},

	// The controller: it never opens a socket. Of speakers it knows the decision alone, to propose who announces.
	{
		Package: "controller",
		Ours: []string{
			"controller/assign", "controller/conditions", "controller/gossipkey", "controller/outage", "controller/peerstatus", "controller/place",
			"controller/poolstatus", "controller/rebalance", "controller/totals", "internal/kube", "internal/metrics", "internal/version",
		},
		Never: sockets,
	},
	{
		Package: "controller/assign",
		Ours:    []string{"api/v1beta1", "config", "controller/place", "ipam", "internal/kube", "internal/metrics", "speaker/announce"},
		Never:   sockets,
	},
	{Package: "controller/conditions", Ours: []string{"api/v1beta1", "config", "internal/kube", "internal/metrics"}, Never: sockets},
	{Package: "controller/gossipkey", Ours: []string{"internal/kube"}, Never: sockets},
	{Package: "controller/outage", Ours: []string{"api/v1beta1", "internal/kube", "internal/metrics"}, Never: sockets},
	{Package: "controller/place", Ours: []string{"api/v1beta1", "config", "internal/kube", "speaker/announce"}, Never: sockets},
	{Package: "controller/peerstatus", Ours: []string{"api/v1beta1", "config", "controller/outage", "internal/kube"}, Never: sockets},
	{Package: "controller/poolstatus", Ours: []string{"api/v1beta1", "config", "ipam", "internal/kube"}, Never: sockets},
	{Package: "controller/rebalance", Ours: []string{"api/v1beta1", "controller/place", "internal/kube", "speaker/announce"}, Never: sockets},
	{Package: "controller/totals", Ours: []string{"api/v1beta1", "controller/conditions", "internal/kube", "internal/metrics"}, Never: sockets},

	// The speaker: it never assigns. The agent decides and knows no driver; node joins them.
	{Package: "speaker", Ours: []string{"internal/kube", "internal/version", "speaker/gossip", "speaker/node"}, Never: sockets},
	{
		Package: "speaker/node",
		Ours: []string{
			"api/v1beta1", "config", "speaker/agent", "speaker/announce", "speaker/arp", "speaker/bfd", "speaker/bgp", "speaker/flows", "speaker/gossip",
			"speaker/link", "speaker/ndp", "speaker/responder", "speaker/status", "speaker/strictarp", "internal/kube", "internal/metrics", "internal/version",
		},
		Never: sockets,
	},
	{
		Package: "speaker/agent",
		Ours:    []string{"api/v1beta1", "config", "speaker/announce", "speaker/link", "internal/kube", "internal/metrics"},
		Never:   sockets,
	},
	{Package: "speaker/status", Ours: []string{"api/v1beta1", "speaker/announce", "internal/kube", "internal/latest"}, Never: sockets},

	// The drivers, which know the network and nothing of Kubernetes.
	{Package: "speaker/bfd", Never: kubernetes},
	{Package: "speaker/bgp", Ours: []string{"config", "speaker/announce", "internal/latest"}, Never: kubernetes},
	{Package: "speaker/flows", Ours: []string{"config", "speaker/announce", "internal/latest"}, Never: kubernetes},
	{Package: "speaker/gossip", Ours: []string{"speaker/announce", "internal/latest"}, Never: kubernetes},
	{Package: "speaker/link", Never: kubernetes},
	{Package: "speaker/responder", Ours: []string{"speaker/announce", "speaker/link", "speaker/neighbour", "internal/latest"}, Never: kubernetes},
	{Package: "speaker/strictarp", Ours: []string{"internal/latest"}, Never: join(kubernetes, sockets)},
	{Package: "speaker/neighbour", Never: join(kubernetes, telling, concurrent, sockets)},
	{Package: "speaker/filter", Never: join(kubernetes, telling, concurrent)},
	{Package: "speaker/arp", Ours: []string{"speaker/neighbour", "speaker/filter"}, Never: join(kubernetes, concurrent)},
	{Package: "speaker/ndp", Ours: []string{"speaker/neighbour", "speaker/filter"}, Never: join(kubernetes, concurrent)},

	// What both binaries share.
	{Package: "internal/kube", Ours: []string{"api/v1beta1"}, Never: sockets},
	{Package: "internal/latest", Never: join(kubernetes, telling, sockets)},
	{Package: "internal/metrics", Never: join(kubernetes, sockets)},
	{Package: "internal/version", Never: join(kubernetes, sockets)},

	// The plugin of kubectl: the decisions of both programs, and what the controller makes of objects. It opens no socket but the API's.
	{
		Package: "internal/cli",
		Ours: []string{
			"api/v1beta1", "config", "controller/assign", "controller/conditions", "controller/place", "internal/kube", "internal/version", "ipam", "speaker/announce",
		},
		Never: sockets,
	},
	{Package: "internal/cli/kubectl-fairlead", Ours: []string{"internal/cli"}, Never: sockets},

	// What is in no binary. Nothing above may import it.
	{Package: "docs", Ours: []string{"..."}},
	{Package: "manifests/...", Ours: []string{"..."}},
	{Package: "internal/archtest", Never: join(kubernetes, sockets)},
	{Package: "internal/debian", Never: join(kubernetes, sockets)},
	{Package: "internal/bench/...", Ours: []string{"..."}},
	{Package: "internal/demo/...", Ours: []string{"..."}},
	{Package: "internal/e2e/...", Ours: []string{"..."}},
	{Package: "internal/envtest/...", Ours: []string{"..."}},
	{Package: "internal/measure", Ours: []string{"internal/lab"}, Never: kubernetes},
	{Package: "internal/image/...", Ours: []string{"..."}},
	{Package: "internal/lab/...", Ours: []string{"..."}},
	{Package: "internal/netns", Never: kubernetes},
	{Package: "internal/release", Ours: []string{"internal/image"}, Never: join(kubernetes, sockets)},
	{Package: "internal/router", Ours: []string{"internal/debian"}, Never: join(kubernetes, sockets)},
}

func join(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}
