package main

import (
	"context"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/fairlead-lb/fairlead/controller/assign"
	"github.com/fairlead-lb/fairlead/controller/conditions"
	"github.com/fairlead-lb/fairlead/controller/gossipkey"
	"github.com/fairlead-lb/fairlead/controller/outage"
	"github.com/fairlead-lb/fairlead/controller/peerstatus"
	"github.com/fairlead-lb/fairlead/controller/place"
	"github.com/fairlead-lb/fairlead/controller/poolstatus"
	"github.com/fairlead-lb/fairlead/controller/rebalance"
	"github.com/fairlead-lb/fairlead/controller/totals"
	"github.com/fairlead-lb/fairlead/internal/kube"
	fairleadmetrics "github.com/fairlead-lb/fairlead/internal/metrics"
	"github.com/fairlead-lb/fairlead/internal/version"
)

// component names the controller in events.
const component = "fairlead-controller"

// run wires the controller and runs it until ctx ends.
func run(ctx context.Context, o options) error {
	if err := begin(o); err != nil {
		return err
	}
	rc, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	var tenure *kube.Tenure
	if o.leaderElect {
		if tenure, err = kube.NewTenure(rc, o.namespace, component, o.election); err != nil {
			return fmt.Errorf("prepare the election: %w", err)
		}
	}
	api := fairleadmetrics.NewAPI(metrics.Registry)
	answered := func(a kube.Answered) { api.Answered(a.Verb, a.Resource, a.Code, a.Took) }
	mgr, err := kube.NewManager(rc, kube.ManagerOptions{
		MetricsAddress: o.metricsAddress, MetricsCertificates: o.metricsCerts, HealthAddress: o.healthAddress, ProfileAddress: o.profileAddress,
		Tenure: tenure, Answered: answered,
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&corev1.Service{}: {Transform: kube.TrimService},
			&corev1.Node{}:    {Transform: kube.TrimNode},
			&corev1.Secret{}:  kube.OnlyGossipSecret(o.namespace),
		}},
	})
	if err != nil {
		return fmt.Errorf("make the manager: %w", err)
	}

	if err := assemble(mgr, o, tenure); err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("synced", kube.Checked(mgr.GetLogger(), "synced", kube.Synced(mgr))); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// assemble adds the reconcilers to the manager.
func assemble(mgr ctrl.Manager, o options, tenure *kube.Tenure) error {
	recorder, err := kube.NewRecorder(mgr, component)
	if err != nil {
		return fmt.Errorf("make the recorder of events: %w", err)
	}
	// More pools than this can change at once; those who wait for a place hold up nobody but themselves.
	changed := make(chan string, 4096)
	follower := &place.Reconciler{Client: mgr.GetClient(), Placer: place.New()}
	assigner := assign.New(assign.Options{
		Placer: follower.Placer, Prepare: follower.Learn,
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Class: o.class, Tenure: tenure,
		Recorder:    recorder,
		PoolChanged: func(name string) { changed <- name },
		Assigned:    fairleadmetrics.NewAssignments(metrics.Registry).Assigned,
	})
	counter := &poolstatus.Reconciler{Client: mgr.GetClient(), Usage: assigner.Usage, Released: assigner.Released, Changed: changed}
	fairleadmetrics.NewEvents(metrics.Registry, recorder.Dropped)
	fairleadmetrics.NewController(metrics.Registry, (&totals.Reader{
		Client: mgr.GetClient(), Class: o.class, Leading: mgr.Elected(), Pools: assigner.Pools,
	}).Totals)
	judge := &conditions.Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: recorder}
	summarizer := &peerstatus.Reconciler{Client: mgr.GetClient()}
	keys := &gossipkey.Reconciler{Client: mgr.GetClient(), Namespace: o.namespace}
	setups := []func(ctrl.Manager) error{
		follower.SetupWithManager, keys.SetupWithManager,
		assigner.SetupWithManager, counter.SetupWithManager, judge.SetupWithManager, summarizer.SetupWithManager,
	}
	if o.markLostNodes {
		setups = append(setups, (&outage.Reconciler{
			Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Class: o.class, Recorder: recorder, Metrics: fairleadmetrics.NewOutages(metrics.Registry),
		}).SetupWithManager)
	}
	if o.rebalanceAfter > 0 {
		setups = append(setups, (&rebalance.Reconciler{Client: mgr.GetClient(), Class: o.class, After: o.rebalanceAfter}).SetupWithManager)
	}
	for _, setup := range setups {
		if err := setup(mgr); err != nil {
			return fmt.Errorf("set up: %w", err)
		}
	}
	return nil
}

// begin sets up the log, and says in it and by a metric which build this is.
func begin(o options) error {
	log, err := kube.Logger(os.Stderr, o.logLevel)
	if err != nil {
		return err
	}
	build := version.Get()
	log.Info("starting", "version", build.Version, "commit", build.Commit, "go", build.Go)
	fairleadmetrics.NewBuild(metrics.Registry, build.Version, build.Commit, build.Go)
	return nil
}
