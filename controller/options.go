package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/fairlead-lb/fairlead/internal/kube"
)

// options are the flags, validated.
type options struct {
	class          kube.Class
	namespace      string
	metricsAddress string
	healthAddress  string
	leaderElect    bool
	logLevel       string
}

// parse reads the flags; environment variables are defaults only.
func parse(args []string, env func(string) string, usage io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("fairlead-controller", flag.ContinueOnError)
	f.SetOutput(usage)
	f.StringVar(&o.class.Name, "load-balancer-class", kube.DefaultClass, "serve Services of this `class` (spec.loadBalancerClass)")
	f.BoolVar(&o.class.Classless, "classless", true, "serve Services without a class too")
	f.StringVar(&o.namespace, "namespace", env("POD_NAMESPACE"), "`namespace` that Fairlead runs in (default $POD_NAMESPACE)")
	f.StringVar(&o.metricsAddress, "metrics-address", ":9474", "serve metrics over TLS on this `address`; 0 for none")
	f.StringVar(&o.healthAddress, "health-address", ":9475", "serve /healthz and /readyz on this `address`")
	f.BoolVar(&o.leaderElect, "leader-elect", true, "let one of several replicas lead; the others stand by")
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
	if o.namespace == "" {
		errs = append(errs, errors.New("--namespace is empty: set it, or POD_NAMESPACE"))
	}
	return errors.Join(append(errs, o.class.Validate())...)
}
