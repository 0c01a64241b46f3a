package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/gossip"
)

// options are the flags, validated.
type options struct {
	class          kube.Class
	node           string
	namespace      string
	service        string
	ignoreExclude  bool
	yieldCordoned  bool
	gossipPort     uint
	bgpDrain       time.Duration
	restartGrace   time.Duration
	shutdownDelay  time.Duration
	metricsAddress string
	healthAddress  string
	profileAddress string
	logLevel       string
}

// parse reads the flags; environment variables are defaults only.
func parse(args []string, env func(string) string, usage io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("fairlead-speaker", flag.ContinueOnError)
	f.SetOutput(usage)
	o.class = kube.NewClass()
	f.Func("load-balancer-class", "announce Services of these `classes` (spec.loadBalancerClass), separated by commas (default "+kube.DefaultClass+")",
		func(list string) (err error) {
			o.class.Names, err = kube.ParseClasses(list)
			return err
		})
	f.BoolVar(&o.class.Classless, "classless", true, "announce Services without a class too")
	f.StringVar(&o.node, "node-name", env("NODE_NAME"), "`name` of the Node that the speaker runs on (default $NODE_NAME)")
	f.StringVar(&o.namespace, "namespace", env("POD_NAMESPACE"), "`namespace` that Fairlead runs in (default $POD_NAMESPACE)")
	f.StringVar(&o.service, "speaker-service", "speaker",
		"`name` of the headless Service of all speakers: while they do not talk to each other, a node whose speaker is not among its ready endpoints hands over")
	f.BoolVar(&o.ignoreExclude, "ignore-exclude-lb", false, "announce from nodes labelled node.kubernetes.io/exclude-from-external-load-balancers too")
	f.BoolVar(&o.yieldCordoned, "yield-cordoned", false, "a node that is cordoned hands over what it announces")
	f.UintVar(&o.gossipPort, "gossip-port", gossip.Port, "`port`, UDP and TCP, by which the speakers find out which of them are there")
	f.DurationVar(&o.bgpDrain, "bgp-drain", 10*time.Second,
		"how `long` a node that is to lose its routes announces them with GRACEFUL_SHUTDOWN (RFC 8326) before it withdraws them")
	f.DurationVar(&o.restartGrace, "restart-grace", time.Minute,
		"how `long` a speaker may be away, on a node that goes on, until others take over what it announces")
	f.DurationVar(&o.shutdownDelay, "shutdown-delay", 5*time.Second,
		"how `long` to go on announcing at most, when stopped, until other speakers know")
	f.StringVar(&o.metricsAddress, "metrics-address", ":9476", "serve metrics over TLS on this `address`; 0 for none")
	f.StringVar(&o.healthAddress, "health-address", "127.0.0.1:9477", "serve /healthz and /readyz on this `address`")
	f.StringVar(&o.profileAddress, "profile-address", "0", "serve /debug/pprof on this `address`, to whoever reaches it: choose a loopback one; 0 for none")
	f.StringVar(&o.logLevel, "log-level", "info", "least `level` to log: debug, info, warn or error")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if rest := f.Args(); len(rest) > 0 {
		return o, fmt.Errorf("unexpected argument %q", rest[0])
	}
	return o, o.validate()
}

func (o *options) validate() error {
	var errs []error
	if o.node == "" {
		errs = append(errs, errors.New("--node-name is empty: set it, or NODE_NAME"))
	}
	if o.namespace == "" {
		errs = append(errs, errors.New("--namespace is empty: set it, or POD_NAMESPACE"))
	}
	if o.gossipPort == 0 || o.gossipPort > 65535 {
		errs = append(errs, fmt.Errorf("--gossip-port %d: want a port from 1 to 65535", o.gossipPort))
	}
	if o.restartGrace < 0 {
		errs = append(errs, fmt.Errorf("--restart-grace %s: want a time from 0 on", o.restartGrace))
	}
	if o.bgpDrain < 0 {
		errs = append(errs, fmt.Errorf("--bgp-drain %s: want a time from 0 on", o.bgpDrain))
	}
	if o.shutdownDelay < 0 {
		errs = append(errs, fmt.Errorf("--shutdown-delay %s: want a time from 0 on", o.shutdownDelay))
	}
	return errors.Join(errs...)
}
