package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/version"
	"github.com/fairlead-lb/fairlead/speaker/gossip"
	"github.com/fairlead-lb/fairlead/speaker/node"
)

// parse reads the flags; environment variables are defaults only.
func parse(args []string, env func(string) string, usage io.Writer) (node.Options, error) {
	var o node.Options
	f := flag.NewFlagSet("fairlead-speaker", flag.ContinueOnError)
	f.SetOutput(usage)
	o.Class = kube.NewClass()
	f.Func("load-balancer-class", "announce Services of these `classes` (spec.loadBalancerClass), separated by commas (default "+kube.DefaultClass+")",
		func(list string) (err error) {
			o.Class.Names, err = kube.ParseClasses(list)
			return err
		})
	f.BoolVar(&o.Class.Classless, "classless", true, "announce Services without a class too")
	f.StringVar(&o.Node, "node-name", env("NODE_NAME"), "`name` of the Node that the speaker runs on (default $NODE_NAME)")
	f.StringVar(&o.Namespace, "namespace", env("POD_NAMESPACE"), "`namespace` that Fairlead runs in (default $POD_NAMESPACE)")
	f.StringVar(&o.Service, "speaker-service", "speaker",
		"`name` of the headless Service of all speakers: while they do not talk to each other, a node whose speaker is not among its ready endpoints hands over")
	f.BoolVar(&o.IgnoreExclude, "ignore-exclude-lb", false, "announce from nodes labelled node.kubernetes.io/exclude-from-external-load-balancers too")
	f.BoolVar(&o.YieldCordoned, "yield-cordoned", false, "a node that is cordoned hands over what it announces")
	f.UintVar(&o.GossipPort, "gossip-port", gossip.Port, "`port`, UDP and TCP, by which the speakers find out which of them are there")
	f.DurationVar(&o.BGPDrain, "bgp-drain", 10*time.Second,
		"how `long` a node that is to lose its routes announces them with GRACEFUL_SHUTDOWN (RFC 8326) before it withdraws them")
	f.DurationVar(&o.KeepConnections, "keep-connections-for", 0,
		"how `long` connections that are open when an address moves go on through the node that had it; 0: not at all. It needs the capability NET_ADMIN")
	f.BoolVar(&o.AnswerPing, "answer-ping", false,
		"answer echo requests (ping) for the addresses that the node announces. It needs the capability NET_ADMIN")
	f.DurationVar(&o.RestartGrace, "restart-grace", time.Minute,
		"how `long` a speaker may be away, on a node that goes on, until others take over what it announces")
	f.DurationVar(&o.ShutdownDelay, "shutdown-delay", 5*time.Second,
		"how `long` to go on announcing at most, when stopped, until other speakers know")
	f.BoolVar(&o.MetricsPerAddress, "metrics-per-address", true, "have fairlead_l2_announced and fairlead_l2_conflict, which have a series for each address")
	f.StringVar(&o.MetricsAddress, "metrics-address", ":9476", "serve metrics over TLS on this `address`; 0 for none")
	f.StringVar(&o.MetricsCertificates, "metrics-cert-dir", "", "`directory` with tls.crt and tls.key for the metrics; empty for a self-signed certificate")
	f.StringVar(&o.HealthAddress, "health-address", "127.0.0.1:9477", "serve /healthz and /readyz on this `address`")
	f.StringVar(&o.ProfileAddress, "profile-address", "0", "serve /debug/pprof on this `address`, to whoever reaches it: choose a loopback one; 0 for none")
	f.StringVar(&o.LogLevel, "log-level", "info", "least `level` to log: debug, info, warn or error")
	printVersion := version.Flag(f)
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *printVersion {
		return o, version.ErrRequested
	}
	if rest := f.Args(); len(rest) > 0 {
		return o, fmt.Errorf("unexpected argument %q", rest[0])
	}
	return o, validate(&o)
}

func validate(o *node.Options) error {
	var errs []error
	if o.Node == "" {
		errs = append(errs, errors.New("--node-name is empty: set it, or NODE_NAME"))
	}
	if o.Namespace == "" {
		errs = append(errs, errors.New("--namespace is empty: set it, or POD_NAMESPACE"))
	}
	if o.GossipPort == 0 || o.GossipPort > 65535 {
		errs = append(errs, fmt.Errorf("--gossip-port %d: want a port from 1 to 65535", o.GossipPort))
	}
	if o.RestartGrace < 0 {
		errs = append(errs, fmt.Errorf("--restart-grace %s: want a time from 0 on", o.RestartGrace))
	}
	if o.KeepConnections < 0 {
		errs = append(errs, fmt.Errorf("--keep-connections-for %s: want a time from 0 on", o.KeepConnections))
	}
	if o.BGPDrain < 0 {
		errs = append(errs, fmt.Errorf("--bgp-drain %s: want a time from 0 on", o.BGPDrain))
	}
	if o.ShutdownDelay < 0 {
		errs = append(errs, fmt.Errorf("--shutdown-delay %s: want a time from 0 on", o.ShutdownDelay))
	}
	return errors.Join(errs...)
}
