// Package outage takes the pods of a lost node out of rotation.
//
// Speakers find out within half a second that a node is gone, and its addresses move. Kubernetes needs 40 seconds to find out, and until then
// kube-proxy on all other nodes goes on sending requests to the pods there. So, where most speakers report a node lost, the
// pods on it that Services of ours select are marked not ready, which is what Kubernetes' own node controller does
// later. Nothing is deleted, evicted or tainted, and a kubelet that is alive after all makes its pods ready again.
//
// Every replica of the controller does this, not only the leader: the leader may be what has died. What is written is
// the same from all.
package outage

import (
	"slices"
)

// A Report is what the speaker of one node says of the others.
type Report struct {
	Node string
	// Connected: it and other speakers talk to each other.
	Connected bool
	// Lost are the nodes that it finds lost.
	Lost []string
}

// least is how many speakers must report a node, however few there are: one alone may be what is cut off.
const least = 2

// Lost returns the nodes that are lost by what speakers report, sorted: those that most of the connected speakers report, and two at
// least. Speakers of nodes that are reported themselves have no say. Where more than half of all nodes would be lost, none is: then it is the
// observers who are cut off.
func Lost(nodes int, reports []Report) []string {
	reported := count(reports, func(Report) bool { return true })
	suspect := func(node string) bool { return reported[node] >= least }
	voters := 0
	for _, r := range reports {
		if r.Connected && !suspect(r.Node) {
			voters++
		}
	}
	var out []string
	for node, n := range count(reports, func(r Report) bool { return !suspect(r.Node) }) {
		if n >= least && 2*n > voters {
			out = append(out, node)
		}
	}
	if 2*len(out) > nodes {
		return nil
	}
	slices.Sort(out)
	return out
}

// count counts by how many connected speakers each node is reported. Nobody has a say about itself.
func count(reports []Report, has func(Report) bool) map[string]int {
	out := map[string]int{}
	for _, r := range reports {
		if !r.Connected || !has(r) {
			continue
		}
		for _, node := range slices.Compact(slices.Sorted(slices.Values(r.Lost))) {
			if node != r.Node {
				out[node]++
			}
		}
	}
	return out
}
