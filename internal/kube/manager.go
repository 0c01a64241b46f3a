package kube

import (
	"crypto/tls"
	"errors"
	"net/http"
	"runtime"
	"time"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// ManagerOptions are what the binaries choose for their manager.
type ManagerOptions struct {
	// MetricsAddress serves metrics over TLS to those who may read /metrics; "0" for none.
	MetricsAddress string
	// MetricsCertificates is a directory with tls.crt and tls.key, which are read again when they change; empty for a self-signed
	// certificate.
	MetricsCertificates string
	// HealthAddress serves /healthz and /readyz.
	HealthAddress string
	// ProfileAddress serves /debug/pprof to whoever reaches it; "0" for none.
	ProfileAddress string
	// Tenure is that of the leader among several replicas; nil for no election.
	Tenure *Tenure
	// Answered, if set, is called with each answer of the API server. It must not block.
	Answered func(Answered)
	// Cache says what of which objects is kept; managed fields never are.
	Cache cache.Options
}

const forever = 10 * 365 * 24 * time.Hour

// NewManager returns a manager with Fairlead's scheme. Its client has no rate
// limit of its own: API priority and fairness is the API server's.
func NewManager(rc *rest.Config, o ManagerOptions) (manager.Manager, error) {
	scheme, err := NewScheme()
	if err != nil {
		return nil, err
	}
	if o.ProfileAddress == "0" {
		runtime.MemProfileRate = 0 // it takes more than a megabyte
	}
	rc = rest.CopyConfig(rc)
	rc.QPS = -1
	if o.Answered != nil {
		rc.Wrap(func(rt http.RoundTripper) http.RoundTripper { return metered{rt, o.Answered} })
	}
	rc.Wrap(func(rt http.RoundTripper) http.RoundTripper { return patient{rt} })
	if o.Cache.DefaultTransform == nil {
		o.Cache.DefaultTransform = cache.TransformStripManagedFields()
	}
	options := ctrl.Options{
		Scheme:                 scheme,
		MapperProvider:         newMapper,
		Cache:                  o.Cache,
		HealthProbeBindAddress: o.HealthAddress,
		PprofBindAddress:       o.ProfileAddress,
		// An API server that is away is waited for, however long.
		Controller: config.Controller{CacheSyncTimeout: forever},
		Metrics: metricsserver.Options{
			BindAddress:    o.MetricsAddress,
			SecureServing:  true,
			CertDir:        o.MetricsCertificates,
			FilterProvider: onlyReaders,
			TLSOpts:        []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
		},
	}
	if t := o.Tenure; t != nil {
		options.LeaderElection, options.LeaderElectionResourceLockInterface = true, t
		options.LeaderElectionReleaseOnCancel = true
		options.LeaseDuration, options.RenewDeadline, options.RetryPeriod = &t.timing.LeaseDuration, &t.timing.RenewDeadline, &t.timing.RetryPeriod
	}
	return ctrl.NewManager(rc, options)
}

// errNotSynced is the answer of /readyz before all that is watched has been read.
var errNotSynced = errors.New("the objects of the cluster are not read yet")

// Synced is a check that a manager's cache has read all that is watched.
func Synced(mgr manager.Manager) func(*http.Request) error {
	return func(r *http.Request) error {
		if !mgr.GetCache().WaitForCacheSync(r.Context()) {
			return errNotSynced
		}
		return nil
	}
}
