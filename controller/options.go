package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/version"
)

// options are the flags, validated.
type options struct {
	class          kube.Class
	namespace      string
	metricsAddress string
	healthAddress  string
	profileAddress string
	metricsCerts   string
	leaderElect    bool
	election       kube.Timing
	markLostNodes  bool
	rebalanceAfter time.Duration
	logLevel       string
}

// parse reads the flags; environment variables are defaults only.
func parse(args []string, env func(string) string, usage io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("fairlead-controller", flag.ContinueOnError)
	f.SetOutput(usage)
	o.class = kube.NewClass()
	f.Func("load-balancer-class", "serve Services of these `classes` (spec.loadBalancerClass), separated by commas (default "+kube.DefaultClass+")",
		func(list string) (err error) {
			o.class.Names, err = kube.ParseClasses(list)
			return err
		})
	f.BoolVar(&o.class.Classless, "classless", true, "serve Services without a class too")
	f.StringVar(&o.namespace, "namespace", env("POD_NAMESPACE"), "`namespace` that Fairlead runs in (default $POD_NAMESPACE)")
	f.StringVar(&o.metricsAddress, "metrics-address", ":9474", "serve metrics over TLS on this `address`; 0 for none")
	f.StringVar(&o.metricsCerts, "metrics-cert-dir", "", "`directory` with tls.crt and tls.key for the metrics; empty for a self-signed certificate")
	f.StringVar(&o.healthAddress, "health-address", ":9475", "serve /healthz and /readyz on this `address`")
	f.StringVar(&o.profileAddress, "profile-address", "0", "serve /debug/pprof on this `address`, to whoever reaches it: choose a loopback one; 0 for none")
	f.BoolVar(&o.leaderElect, "leader-elect", true, "let one of several replicas lead; the others stand by")
	f.DurationVar(&o.election.LeaseDuration, "leader-elect-lease-duration", 15*time.Second,
		"a replica takes over so long after the leader's last renewal")
	f.DurationVar(&o.election.RenewDeadline, "leader-elect-renew-deadline", 10*time.Second,
		"a leader that cannot renew for so long gives up; it writes nothing from then on")
	f.DurationVar(&o.election.RetryPeriod, "leader-elect-retry-period", 2*time.Second, "time between two tries to renew or to take over")
	f.BoolVar(&o.markLostNodes, "mark-lost-nodes", true, "take the pods of a node that most speakers report lost out of rotation, by marking them not ready")
	f.DurationVar(&o.rebalanceAfter, "rebalance-after", 0, "have all nodes announce about as many addresses by layer 2 again, once nodes and speakers "+
		"have been the same for so long; only while all speakers keep connections; 0 for never")
	f.StringVar(&o.logLevel, "log-level", "info", "least `level` to log: debug, info, warn or error")
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
	return o, o.validate()
}

func (o *options) validate() error {
	var errs []error
	if o.namespace == "" {
		errs = append(errs, errors.New("--namespace is empty: set it, or POD_NAMESPACE"))
	}
	if e := o.election; e.RetryPeriod <= 0 || e.RenewDeadline < 2*e.RetryPeriod || e.LeaseDuration <= e.RenewDeadline {
		errs = append(errs, fmt.Errorf("--leader-elect-retry-period %s must be more than 0, --leader-elect-renew-deadline %s at least twice that,"+
			" and --leader-elect-lease-duration %s longer", e.RetryPeriod, e.RenewDeadline, e.LeaseDuration))
	}
	if o.rebalanceAfter != 0 && o.rebalanceAfter < time.Second {
		errs = append(errs, fmt.Errorf("--rebalance-after %s must be 0, or a second at least", o.rebalanceAfter))
	}
	return errors.Join(errs...)
}
