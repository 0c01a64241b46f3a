// Package node is the speaker of a node: it joins the agent, which decides, with the drivers, which act, and with those who report. It
// starts them, hands decisions on, and ends them in the order in which nothing is lost. What is decided, and how the network is made to
// match, is theirs.
package node

import (
	"time"

	"github.com/fairlead-lb/fairlead/internal/kube"
)

// Options are what a speaker is run with. Its command line has a flag for each.
type Options struct {
	Class kube.Class
	// Node is the name of the Node, and Namespace the one that Fairlead runs in; Service is the headless Service of all speakers.
	Node, Namespace, Service string
	// IgnoreExclude: the label node.kubernetes.io/exclude-from-external-load-balancers is not honoured.
	IgnoreExclude bool
	// YieldCordoned: a node that is cordoned hands over what it announces.
	YieldCordoned bool
	GossipPort    uint
	// BGPDrain is how long routes are announced with GRACEFUL_SHUTDOWN before they are withdrawn.
	BGPDrain time.Duration
	// KeepConnections is for how long a node that has handed over an address goes on serving connections that are open; 0: they are not kept.
	KeepConnections time.Duration
	// AnswerPing: echo requests for the addresses that this node announces are answered.
	AnswerPing bool
	// RestartGrace is how long a speaker may be away until others take over, and ShutdownDelay how long to go on at most when stopped.
	RestartGrace, ShutdownDelay time.Duration
	// Addresses of what is served by HTTP; "0" for none.
	MetricsAddress, HealthAddress, ProfileAddress string
	// MetricsCertificates is a directory with tls.crt and tls.key; empty for a self-signed certificate.
	MetricsCertificates string
	// MetricsPerAddress has a series for each address.
	MetricsPerAddress bool
	LogLevel          string
}
